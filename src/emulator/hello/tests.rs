use super::*;

fn read(words: &[&str], problem: &str) {
    let args: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let said = Hello::read(&args).problem.unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&said), problem, "{words:?}");
}

#[test]
fn what_is_wrong_is_told_in_redis_s_words() {
    for good in [&[][..], &["2"], &["3"], &["3", "auth", "me", "secret", "SetName", "x"], &["3", "SETNAME", ""]] {
        read(good, "");
    }
    for version in ["1", "4", "-2"] {
        read(&[version, "BOGUS"], "NOPROTO unsupported protocol version");
    }
    for version in ["", "x", "+3", "03", "3.0"] {
        read(&[version], "ERR Protocol version is not an integer or out of range");
    }
    read(&["3", "AUTH", "me"], "ERR Syntax error in HELLO option 'AUTH'");
    read(&["3", "bogus\0\r"], "ERR Syntax error in HELLO option 'bogus'");
    let refusal = "ERR Client names cannot contain spaces, newlines or special characters.";
    read(&["3", "SETNAME", "a b"], refusal);
}

#[test]
fn a_login_before_the_mistake_is_found() {
    let args: Vec<_> = ["3", "AUTH", "me", "secret", "BOGUS"].iter().map(|word| word.as_bytes().to_vec()).collect();
    let hello = Hello::read(&args);
    assert_eq!(hello.login, Some((&b"me"[..], &b"secret"[..])));
    assert!(hello.problem.is_some());
}
