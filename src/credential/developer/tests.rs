//! The developer tools, played by scripts on a private `PATH`.

use super::*;
use crate::{
    credential::test_server::{jwt, within},
    error::Stage,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

static TOOLS: [&Tool; 2] = [&azure_cli::TOOL, &azd::TOOL];

/// A directory with one script in it.
struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    fn new(program: &str, script: &str) -> Self {
        let fake = Self { dir: tempfile::tempdir().unwrap() };
        let path = fake.dir.path().join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fake
    }

    async fn ask_within(&self, tool: &'static Tool, limit: Duration) -> Result<AccessToken, Error> {
        let mut env = ProcessEnv::of_pairs(&[]);
        env.path = Some(self.dir.path().into());
        let scope = "https://redis.azure.com/.default";
        let source = DeveloperSource::new(tool, scope, Some("contoso.com"), &env).unwrap();
        within(limit, source.token()).await
    }

    async fn ask(&self, tool: &'static Tool) -> Result<AccessToken, Error> {
        self.ask_within(tool, Duration::from_secs(20)).await
    }
}

async fn refused(tool: &'static Tool, script: &str) -> Error {
    Fake::new(tool.program, script).ask(tool).await.unwrap_err()
}

/// A script that prints this, whatever is in it.
fn prints(text: &str) -> String {
    format!("cat <<'END'\n{text}\nEND")
}

#[tokio::test]
async fn tokens_are_read_in_the_forms_of_all_versions() {
    let half_an_hour = jiff::SignedDuration::from_secs(1800);
    let end = jiff::Timestamp::now() + half_an_hour;
    let local = end.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.000000").to_string();
    for (tool, answer) in [
        (
            &azure_cli::TOOL,
            json!({"accessToken": jwt(), "expires_on": end.as_second(), "expiresOn": "nonsense", "tokenType": "Bearer"}),
        ),
        (&azure_cli::TOOL, json!({"accessToken": jwt(), "expiresOn": local, "tenant": "t"})),
        (&azd::TOOL, json!({"token": jwt(), "expiresOn": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()})),
    ] {
        let token = Fake::new(tool.program, &prints(&answer.to_string())).ask(tool).await.unwrap();
        assert_eq!((token.source(), token.username()), (Some(tool.source), Some("me")));
        let life = token.lifetime().as_secs();
        assert!((1780..=1800).contains(&life), "{life}: {answer}");
    }
}

#[tokio::test]
async fn arguments_are_a_list_and_no_shell_sees_them() {
    for (tool, expected) in [
        (
            &azure_cli::TOOL,
            "account get-access-token -o json --scope https://redis.azure.com/.default --tenant contoso.com",
        ),
        (&azd::TOOL, "auth token -o json --no-prompt --scope https://redis.azure.com/.default --tenant-id contoso.com"),
    ] {
        let fake = Fake::new(tool.program, "printf '%s\\n' \"$@\" > \"${0%/*}/arguments\"; exit 1");
        fake.ask(tool).await.unwrap_err();
        let seen = fs::read_to_string(fake.dir.path().join("arguments")).unwrap();
        assert_eq!(seen.lines().collect::<Vec<_>>().join(" "), expected);
    }
    let env = ProcessEnv::of_pairs(&[]);
    for (scope, tenant) in [
        ("https://redis.azure.com/.default", "t; rm -rf /"),
        ("https://redis.azure.com/.default", "--help"),
        ("a&b/.default", "t"),
        ("$(id)/.default", "t"),
        ("--x/.default", "t"),
    ] {
        let Err(error) = DeveloperSource::new(&azure_cli::TOOL, scope, Some(tenant), &env) else {
            panic!("accepted: {scope} {tenant}");
        };
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_not_installed() {
    for tool in TOOLS {
        let missing = Fake::new("something-else", "exit 0").ask(tool).await.unwrap_err();
        let no_shell = {
            let fake = Fake::new(tool.program, "");
            fs::write(fake.dir.path().join(tool.program), "#!/no/such/interpreter\n").unwrap();
            fake.ask(tool).await.unwrap_err()
        };
        for error in [missing, no_shell, refused(tool, "exit 127").await] {
            assert_eq!(error.kind(), ErrorKind::CredentialUnavailable, "{error}");
            assert!(error.to_string().contains("is not installed") && error.hint().is_some(), "{error}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_nobody_is_signed_in_with_says_so() {
    for (tool, script) in [
        (&azure_cli::TOOL, "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1"),
        (&azd::TOOL, "echo 'ERROR: not logged in, run `azd auth login` to login' >&2; exit 1"),
        (&azd::TOOL, "echo '{\"type\":\"consoleMessage\",\"data\":{\"message\":\"run `azd auth login`\"}}'; exit 1"),
    ] {
        let error = refused(tool, script).await;
        assert_eq!(error.kind(), ErrorKind::CredentialUnavailable, "{error}");
        assert_eq!(error.hint(), Some(tool.hint_login));
        assert!(error.to_string().contains("is not signed in"), "{error}");
    }
}

#[tokio::test]
async fn why_nobody_is_signed_in_any_more_is_kept() {
    let script = "echo 'WARNING: x' >&2; echo \"ERROR: AADSTS70043: expired. Please run: az login\" >&2; exit 1";
    let error = refused(&azure_cli::TOOL, script).await;
    assert_eq!((error.kind(), error.aadsts()), (ErrorKind::CredentialUnavailable, Some(70_043)));
    assert!(error.to_string().contains("is not signed in (AADSTS70043)"), "{error}");
}

#[tokio::test]
async fn what_a_tool_leaves_running_is_not_waited_for() {
    for tool in TOOLS {
        let token = json!({"accessToken": jwt(), "token": jwt()}).to_string();
        // It has both pipes, and keeps them for a minute.
        let fake = Fake::new(tool.program, &format!("sleep 60 &\n{}", prints(&token)));
        let began = tokio::time::Instant::now();
        assert_eq!(fake.ask(tool).await.unwrap().source(), Some(tool.source));
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_file_that_nobody_may_run_is_looked_past() {
    let token = json!({"accessToken": jwt(), "token": jwt()}).to_string();
    for tool in TOOLS {
        let (blunt, good) = (Fake::new(tool.program, "exit 1"), Fake::new(tool.program, &prints(&token)));
        fs::set_permissions(blunt.dir.path().join(tool.program), fs::Permissions::from_mode(0o644)).unwrap();
        let mut env = ProcessEnv::of_pairs(&[]);
        env.path = Some(std::env::join_paths([blunt.dir.path(), good.dir.path()]).unwrap());
        let scope = "https://redis.azure.com/.default";
        let source = DeveloperSource::new(tool, scope, None, &env).unwrap();
        assert_eq!(source.token().await.unwrap().source(), Some(tool.source));
    }
}

#[tokio::test]
async fn a_slow_tool_is_ended() {
    for tool in TOOLS {
        let fake = Fake::new(tool.program, "echo $$ > \"${0%/*}/pid\"; exec sleep 60");
        let error = fake.ask_within(tool, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout(Stage::Token), true));
        assert!(error.to_string().contains("did not answer within 1s (`token_request_execution_timeout`)"), "{error}");

        let pid = fs::read_to_string(fake.dir.path().join("pid")).unwrap();
        let pid = pid.trim();
        let alive = || {
            let signal = std::process::Command::new("sh").args(["-c", &format!("kill -0 {pid} 2>/dev/null")]).status();
            signal.unwrap().success()
        };
        let patience = tokio::time::Instant::now() + Duration::from_secs(10);
        while alive() {
            assert!(tokio::time::Instant::now() < patience, "it runs on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// 13 s are reported of `az`; it may be alone, or in the chain with a tool behind it that nobody is signed in with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_tool_may_take_as_long_as_the_setting_says() {
    let token = json!({"accessToken": jwt(), "expires_on": 4_102_444_800_u64}).to_string();
    let slow = |seconds: u32| Fake::new("az", &format!("sleep {seconds}\n{}", prints(&token)));
    let chained = async |fake: &Fake, limit: u64| {
        let azd = fake.dir.path().join("azd");
        fs::write(&azd, "#!/bin/sh\necho 'ERROR: not logged in, run `azd auth login` to login' >&2; exit 1\n").unwrap();
        fs::set_permissions(&azd, fs::Permissions::from_mode(0o755)).unwrap();
        let mut env = ProcessEnv::of_pairs(&[("AZURE_TOKEN_CREDENTIALS", "dev")]);
        env.path = Some(fake.dir.path().into());
        let source = crate::credential::Credential::default_chain().resolve_in(&env).unwrap();
        within(Duration::from_secs(limit), source.fetch()).await
    };
    let (alone, together, by_default) = (slow(13), slow(13), slow(7));
    let (alone, together, by_default) = tokio::join!(
        alone.ask_within(&azure_cli::TOOL, Duration::from_secs(30)),
        chained(&together, 30),
        chained(&by_default, 10)
    );
    for token in [alone, together, by_default] {
        assert_eq!(token.unwrap().source(), Some("azure-cli"));
    }
}

/// What old versions, wrappers and terminals put around an answer.
#[tokio::test]
async fn an_answer_is_found_in_what_is_printed_around_it() {
    let utf16 =
        |text: &str| -> Vec<u8> { format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect() };
    for tool in TOOLS {
        let pretty = serde_json::to_string_pretty(&json!({
            "accessToken": jwt(), "token": jwt(), "expires_on": 4_102_444_800_u64, "expiresOn": "2099-01-01T00:00:00Z",
        }))
        .unwrap();
        let coloured = pretty.replace('"', "\u{1b}[34;01m\"\u{1b}[39;49;00m").replace('{', "\u{1b}[1m{\u{1b}[0m");
        for output in [
            format!("{pretty}\n\u{1b}[0m").into_bytes(),
            format!("\u{1b}[0m{pretty}").into_bytes(),
            coloured.into_bytes(),
            format!("\u{1b}(B\u{1b}[m{pretty}\u{1b}(B\u{1b}7\u{1b}[").into_bytes(),
            format!("\u{1b}]0;az\u{7}\u{1b}]0;az\u{1b}\\{pretty}").into_bytes(),
            format!("\u{feff}{pretty}").into_bytes(),
            format!("WARNING: a new version is there\r\n{pretty}\r\n").into_bytes(),
            format!("[Warning] use {{}} or [1], {{'a': 1}} and {{\"a\": \"b\"}}\n{pretty}").into_bytes(),
            format!("{{\"type\": \"consoleMessage\", \"data\": {{\"message\": \"{{\"}}}}\n{pretty}\nDone {{}}")
                .into_bytes(),
            [&b"Avertissement : mis \xe0 jour\n"[..], pretty.as_bytes()].concat(),
            utf16(&pretty),
        ] {
            let fake = Fake::new(tool.program, "cat \"${0%/*}/output\"");
            fs::write(fake.dir.path().join("output"), &output).unwrap();
            let token = fake.ask(tool).await;
            let shown = String::from_utf8_lossy(&output).replace(&jwt(), "JWT");
            assert!(token.is_ok_and(|token| token.source() == Some(tool.source)), "{}: {shown}", tool.program);
        }
    }
}

#[tokio::test]
async fn tools_are_asked_to_print_plainly() {
    for (tool, expected) in [
        (&azure_cli::TOOL, &["NO_COLOR=1", "AZURE_CORE_NO_COLOR=true", "AZURE_CORE_ONLY_SHOW_ERRORS=true"][..]),
        (&azd::TOOL, &["NO_COLOR=1", "AZD_SKIP_UPDATE_CHECK=true"]),
    ] {
        let fake = Fake::new(tool.program, "/usr/bin/env > \"${0%/*}/environment\"; exit 1");
        fake.ask(tool).await.unwrap_err();
        let seen = fs::read_to_string(fake.dir.path().join("environment")).unwrap();
        for variable in expected {
            assert!(seen.lines().any(|line| line == *variable), "{variable}: {seen}");
        }
        // Its own variables are there as well.
        assert!(seen.lines().any(|line| line.starts_with("HOME=") || line.starts_with("PATH=")), "{seen}");
    }
}

/// In part, in escapes, over several lines, without its beginning.
#[tokio::test]
async fn no_part_of_a_token_comes_back_out_of_a_complaint() {
    let token = jwt();
    let (start, middle) = (&token[..40.min(token.len())], &token[8..]);
    let pieces: Vec<&str> = (0..token.len() - 5).map(|start| &token[start..start + 6]).collect();
    let escaped = token.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<Vec<_>>().concat();
    let wrapped = token.as_bytes().chunks(10).map(|line| str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\\n");
    for quoted in
        [start, middle, escaped.as_str(), wrapped.as_str(), &wrapped.replace("\\n", " "), &token.to_uppercase()]
    {
        for tool in TOOLS {
            // The tool has printed its answer before it failed.
            let script = format!("{}\ncat >&2 <<'END'\nERROR: cannot use '{quoted}'\nEND\nexit 1", prints(&token));
            let error = refused(tool, &script).await;
            let shown = format!("{error} {error:?}").to_lowercase();
            let piece = pieces.iter().find(|piece| shown.contains(&piece.to_lowercase()));
            assert!(piece.is_none() && shown.contains("cannot use"), "{piece:?} of {quoted}: {shown}");
        }
    }
}

#[tokio::test]
async fn garbage_is_an_error_that_does_not_show_it() {
    for tool in TOOLS {
        for garbage in
            ["s3cr3t", "{\"accessToken\": 5, \"token\": \"s3cr3t", "{}", "[{\"accessToken\": \"s3cr3t\"}]", ""]
        {
            let error = refused(tool, &prints(garbage)).await;
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TokenEndpoint, false), "{error}");
            assert!(error.to_string().contains("not a token"), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
        }
        // More than is ever kept, without end.
        let error = refused(tool, "while :; do echo s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3t; done").await;
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    }
}

#[test]
fn brackets_without_end_are_given_up_soon() {
    let start = std::time::Instant::now();
    for bracket in ["[", "{", "[{", "{\"a\":"] {
        let output = bracket.repeat((1 << 20) / bracket.len());
        assert!(source(&azure_cli::TOOL).read(output.as_bytes()).is_err());
    }
    // It was many minutes, one per bracket looked at up to the end; seconds on a machine that is not busy.
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    let warned = format!("{}\n{}", "[WARNING] {x} ".repeat(20), json!({"accessToken": jwt()}));
    assert!((azure_cli::TOOL.read)(&warned).is_some());
}

#[tokio::test]
async fn other_failures_are_told_without_secrets() {
    let token = jwt();
    let script =
        format!("echo 'AADSTS700016: Application not found, {token} {}' >&2; echo '{token}'; exit 3", "x".repeat(200));
    let error = refused(&azure_cli::TOOL, &script).await;
    assert_eq!((error.kind(), error.aadsts()), (ErrorKind::CredentialRejected, Some(700_016)), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("failed with status 3: AADSTS700016: Application not found, [redacted] [redacted]"),
        "{text}"
    );
    assert!(error.hint().is_some() && !text.contains("eyJ"), "{text}");
}

#[tokio::test]
async fn the_line_that_says_error_is_told_unless_it_quotes_a_token() {
    let script = "echo 'WARNING: a new version is there' >&2; echo 'ERROR: the cache is broken' >&2; exit 1";
    let error = refused(&azure_cli::TOOL, script).await;
    assert!(error.to_string().ends_with("failed with status 1: ERROR: the cache is broken"), "{error}");
    for (quoted, told) in [
        (r#"ERROR: cannot parse {"accessToken": "s3cr3t"}"#, r#"ERROR: cannot parse {"accessToken": "[redacted]"}"#),
        (r#"{"token": "s3cr3t"}"#, r#"{"token": "[redacted]"}"#),
        ("AccessToken=s3cr3t", "AccessToken=[redacted]"),
        ("ERROR: the accessToken is too old", "ERROR: the accessToken is too old"),
    ] {
        let error = refused(&azure_cli::TOOL, &format!("cat >&2 <<'END'\n{quoted}\nEND\nexit 1")).await;
        let shown = format!("{error} {error:?}");
        assert!(error.to_string().ends_with(&format!("failed with status 1: {told}")), "{error}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

/// What a tool prints, with anything in it, or cut short; and anything at all.
fn printed() -> impl Strategy<Value = Vec<u8>> {
    let value = || {
        prop_oneof![
            Just(json!(jwt())),
            any::<String>().prop_map(Value::from),
            "[0-9/: TZAPMapm+.eE-]{0,30}".prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            Just(Value::Null),
        ]
    };
    let answer = move || {
        (value(), value(), value()).prop_map(|(token, date, local)| {
            let answer = json!({"accessToken": token, "token": token, "expires_on": date, "expiresOn": local});
            answer.to_string().into_bytes()
        })
    };
    prop_oneof![
        3 => answer(),
        1 => (answer(), any::<Index>()).prop_map(|(answer, end)| answer[..end.index(answer.len())].to_vec()),
        1 => vec(any::<u8>(), 0..200),
    ]
}

/// A source whose tool is not asked.
fn source(tool: &'static Tool) -> DeveloperSource {
    let env = ProcessEnv::of_pairs(&[]);
    DeveloperSource::new(tool, "https://redis.azure.com/.default", None, &env).unwrap()
}

proptest! {
    #[test]
    fn whatever_a_tool_prints_is_a_token_or_an_error(output in printed()) {
        for tool in TOOLS {
            match source(tool).read(&output) {
                Ok(token) => prop_assert_eq!(token.source(), Some(tool.source)),
                Err(error) => {
                    let kinds = [ErrorKind::TokenEndpoint, ErrorKind::MalformedToken];
                    prop_assert!(kinds.contains(&error.kind()), "{}", error);
                    let shown = format!("{error} {error:?}");
                    prop_assert!(!shown.contains("eyJ"), "{}", shown);
                }
            }
        }
    }

    #[test]
    fn whatever_a_tool_complains_of_is_told_without_its_tokens(before in any::<Vec<u8>>(), after in any::<String>()) {
        let complaint = [&before[..], jwt().as_bytes(), after.as_bytes()].concat();
        for tool in TOOLS {
            let error = source(tool).failed(Some(1), &complaint, &[]);
            prop_assert_eq!(error.kind(), ErrorKind::CredentialRejected);
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains("eyJ"), "{}", shown);
            _ = mentions(&complaint, tool.login);
        }
    }
}

/// A vector that grows leaves a copy of what it held behind in memory, and nothing wipes that.
#[tokio::test]
async fn there_is_room_for_a_token_before_it_comes() {
    let fake = Fake::new("tool", "printf x; printf y >&2");
    let process =
        Process { program: "tool", arguments: Vec::new(), path: Some(fake.dir.path().into()), environment: &[] };
    let Ok(finished) = process.run().await else { panic!("it runs") };
    assert_eq!((finished.output.as_slice(), finished.complaint.as_slice()), (&b"x"[..], &b"y"[..]));
    for bytes in [finished.output, finished.complaint] {
        assert!(bytes.capacity() >= 16 << 10, "{}", bytes.capacity());
    }
}
