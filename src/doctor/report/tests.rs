use super::*;

#[test]
fn the_verdict_is_that_of_the_worst_step() {
    let verdict = |findings: &[Finding]| Report::new(findings.iter().cloned().map(|f| f.called("x")).collect()).verdict;
    let (ok, warning) = (Finding::ok(""), Finding::warning(Cause::ClockOff, "", ""));
    let (failed, unreached) = (Finding::failed(Cause::NoToken, "", ""), Finding::not_reached(""));
    assert_eq!(verdict(&[ok.clone(), warning.clone()]), Verdict::Well);
    assert_eq!(verdict(&[ok.clone(), unreached.clone()]), Verdict::Unknown);
    assert_eq!(verdict(&[unreached, failed, ok]), Verdict::Broken);
}

#[test]
fn what_others_say_moves_no_cursor_and_begins_no_line() {
    let step = Finding::failed(Cause::TlsFailed, "a\x1b[2Jb\nc", "d\re").called("tls");
    assert_eq!((step.detail.as_str(), step.next.as_deref()), ("a [2Jb c", Some("d e")));
}
