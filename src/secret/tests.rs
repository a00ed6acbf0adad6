#![allow(clippy::format_collect, reason = "short texts, built once")]

//! Nothing that can be recognised is left of a secret, and everything else is.

use super::*;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use proptest::{prelude::*, sample::Index};
use serde_json::Value;
use std::time::Instant;

/// A token as Entra ID makes them, in form.
fn token(seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut part = |prefix: &str, length: usize| {
        let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
    };
    [part("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIs", 30), part("eyJ", 300), part("", 256)].join(".")
}

#[test]
fn debug_and_scrub_hide_the_value() {
    let secret = Secret::new("s3cr3t");
    assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    assert_eq!(secret.scrub("got s3cr3t back"), "got [redacted] back");
    assert_eq!(Secret::new("").scrub("unchanged"), "unchanged");
}

#[test]
fn a_secret_is_blanked_in_every_form() {
    let secret = Secret::new("s3~cr +3t\"\\&");
    for form in [
        "s3~cr +3t\"\\&",
        "s3%7Ecr+%2B3t%22%5C%26",
        "s3%7Ecr%20%2B3t%22%5C%26",
        "s3%7ecr%20%2b3t%22%5c%26",
        "s3%257Ecr%2520%252B3t%2522%255C%2526",
        "s3~cr +3t\\\"\\\\&",
        "s3~cr +3t\\\\\\\"\\\\\\\\&",
        "\\u0073\\u0033~cr \\u002b3t\\u0022\\u005c\\u0026",
        "s3\\x7ecr \\u{2b}3t\\\"\\\\&",
        "s3~cr +3t&quot;\\&amp;",
        "s3&#126;cr +3t&#x22;\\&#38;",
        "S3~CR +3T\"\\&",
        "s3~cr\r\n +3t\"\\&",
        "s3~\u{1b}[1;31mcr +3t\u{1b}[0m\"\\&",
        "7333",
        "s3\u{200b}~cr +3t\"\\&",
    ] {
        let expected = if form == "7333" { "not 7333, please" } else { "not [redacted], please" };
        assert_eq!(secret.scrub(&format!("not {form}, please")), expected, "{form}");
    }
}

/// Of whole secrets in escapes, of the ones that are wrapped, and of those that have hardly a letter or a digit.
#[test]
fn no_escape_or_break_in_a_secret_saves_a_part_of_it() {
    let assert_blanked = |secret: &str, written: &str| {
        assert_eq!(
            Secret::new(secret).scrub(&format!("not {written}, please")),
            "not [redacted], please",
            "{written:?}"
        );
    };
    for (c, escaped) in [
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("\u{8}", "\\b"),
        ("\u{c}", "\\f"),
        ("\0", "\\0"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("&", "&amp;"),
        ("\"", "&quot;"),
        ("'", "&apos;"),
    ] {
        let parts = ["a1", "b2", "c3", "d4"];
        assert_blanked(&parts.join(c), &parts.join(escaped));
    }
    let latin_1 = "éàüéàüéàüéàü";
    assert_blanked(latin_1, &latin_1.chars().map(|c| format!("%{:X}", u32::from(c))).collect::<String>());
    assert_eq!(Secret::new("s3cr3t").scrub("%73%33%63%72%33%74"), "[redacted]");

    for wrap in ["\n", "\r\n  ", "\u{7}", "\u{ad}", "\u{200b}", "\u{2060}", "\u{feff}", "\u{1b}[0m", "\u{1b}]0;a\u{7}"]
    {
        assert_blanked("~!#$^*()_-[]{}", &["~!#$", "^*()", "_-[]", "{}"].join(wrap));
        assert_blanked("~!# $^* ()_ -[]", &["~!#+", "$^*+", "()_+", "-[]"].join(wrap));
    }
}

#[test]
fn what_a_terminal_takes_for_a_command_is_known_by_its_end() {
    for sequence in [
        "[m",
        "[1;31m",
        "[2K",
        "]0;a title\u{7}",
        "]8;;https://x\u{1b}\\",
        "]\u{7}",
        "(B",
        " F",
        "#8",
        "(%5",
        "7",
        "c",
        "=",
        "~",
    ] {
        for rest in ["", "text", " \u{7}\u{1b}\\m"] {
            let length = terminal_sequence(format!("{sequence}{rest}").chars());
            assert_eq!(length, Some(sequence.chars().count()), "{sequence:?} before {rest:?}");
        }
    }
    for cut in ["", "[", "[1;31", "]0;a title", "(", "\n", "é"] {
        assert_eq!(terminal_sequence(cut.chars()), None, "{cut:?}");
    }
}

#[test]
fn an_encoded_secret_is_blanked_wherever_it_stands_in_what_was_encoded() {
    let secret = "Zx8~Q_client.Secret-Value42";
    for before in ["", "a", "ab", "id:", "0123456789:"] {
        for after in ["", "&", "\"}", "&grant_type=client_credentials"] {
            let sent = format!("{before}{secret}{after}");
            for encoded in [STANDARD.encode(&sent), URL_SAFE_NO_PAD.encode(&sent)] {
                let shown = Secret::new(secret).scrub(&format!("in {encoded}."));
                // What is left is base64 of what stood around it.
                let left = shown.len() - "in .".len() - REDACTED.len();
                assert!(
                    shown.contains(REDACTED) && left <= (before.len() + after.len()) * 4 / 3 + 9,
                    "{sent}: {shown}"
                );
            }
        }
    }
    assert_eq!(Secret::new(secret).scrub(&format!("in {}.", hex(secret))), "in [redacted].");
}

/// What stands before it in what was encoded is shown, and so is what gives less than six of its characters away.
#[test]
fn of_what_is_encoded_the_secret_is_blanked_and_nothing_else() {
    let secret = "Zx8~Q_client.Secret-Value42";
    for before in ["", "a", "ab", "\0", "\0\0", "grant_type=x&client_secret="] {
        let encoded = STANDARD.encode(format!("{before}{secret}"));
        let of_before = (before.len() * 8).div_ceil(6);
        let shown = Secret::new(secret).scrub(&encoded);
        assert!(shown.starts_with(&format!("{}{REDACTED}", &encoded[..of_before])), "{before:?}: {shown}");
    }
    let (base64, hex) = (STANDARD.encode(secret), hex(secret));
    for (written, recognizable) in [(base64, 8), (hex, 12)] {
        for start in (0..written.len() - recognizable).step_by(recognizable) {
            let piece = &written[start..start + recognizable];
            assert_eq!(Secret::new(secret).scrub(piece), REDACTED);
            assert_eq!(Secret::new(secret).scrub(&piece[1..]), piece[1..]);
            assert_eq!(Secret::new(secret).scrub(&piece[..recognizable - 1]), piece[..recognizable - 1]);
        }
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn short_secrets_are_blanked_from_half_of_them_on() {
    for (secret, text, expected) in [
        ("ab", "cab of ab", "c[redacted] of [redacted]"),
        ("s3c", "s3 s3c", "s3 [redacted]"),
        ("hunter2!", "hunt of hun of ter2!", "[redacted] of hun of [redacted]"),
        ("correcthorse", "correct horse corre", "[redacted] corre"),
    ] {
        assert_eq!(Secret::new(secret).scrub(text), expected, "{secret}");
    }
}

#[test]
fn what_microsoft_says_is_left_as_it_is() {
    let texts = [
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
         value, not the client secret ID, for a secret added to app '11111111-2222-3333-4444-555555555555'.",
        "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application. \
         [Reason - The key was not found., Thumbprint of key used by client: 'A1B2C3D4E5F60718293A4B5C6D7E8F9001122334'.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass>",
    ];
    for text in texts {
        assert_eq!(scrub_jwts(text), text);
    }
    // One in a thousand may lose a word by chance.
    let spoiled =
        (0..50).filter(|seed| texts.iter().any(|text| Secret::new(token(*seed)).scrub(text) != *text)).count();
    assert!(spoiled <= 2, "{spoiled} of 50");
}

#[test]
fn a_long_text_is_cut_and_scrubbed_in_no_time() {
    let secret = Secret::new(token(1));
    let text = format!("é{}", secret.expose()).repeat(2000);
    let shown = secret.scrub(&text);
    assert!(shown.len() <= LONGEST_TEXT && !shown.contains("eyJ0eXAi"), "{}", shown.len());
    // It is cut between two characters.
    let text = format!("x{}", "é".repeat(LONGEST_TEXT));
    assert_eq!(secret.scrub(&text), text[..LONGEST_TEXT - 1]);
}

#[test]
fn unknown_secrets_are_told_by_how_they_look() {
    let jwt = token(7);
    let hidden = [
        jwt.clone(),
        jwt[..40].to_owned(),
        jwt[60..120].to_owned(),
        format!("{}\n{}", &jwt[..50], &jwt[50..90]),
        format!("{} {}", &jwt[..50], &jwt[70..80]),
        format!("\\u0065{}", &jwt[1..60]),
        "Abc8Q~xYz0123456789-_.abcdEFGHijklMNOPqr".to_owned(),
        "9f86d081884c7d659a2feaa0c55ad015".to_owned(),
        "x".repeat(200),
    ];
    for text in hidden {
        let shown = scrub_unknown(&format!("cannot use '{text}' here"));
        let left: String = shown.replace(REDACTED, "").split_whitespace().collect();
        assert_eq!(left, "cannotuse''here", "{text}: {shown}");
    }
    // The longest word is one of 100 characters.
    assert_eq!(scrub_unknown(&"x".repeat(100)), "x".repeat(100));
    assert_eq!(scrub_unknown(&"x".repeat(101)), REDACTED);
    for text in [
        "Index PrimaryKeyJoin of TheKeyJars",
        "app_11111111-2222-3333-4444-555555555555 beside/01234567-89ab-cdef-0123-456789abcdef.json",
        "https://login.microsoftonline.com:443/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token by me@contoso.com",
        "Configuration/that/has/a/long/way/to/go/until/it/comes/to/its/end/which/is/beyond/a/hundred/characters/at/last.json",
        "cannot get the token: it is too old",
        "Basic auth is off, pass --username or --password",
        "the secret: AADSTS7000222: expired",
        "ERROR: AADSTS70043: The refresh token has expired due to sign-in frequency checks. The token was issued on \
         2024-05-01T12:00:00.0000000Z and the maximum allowed lifetime for this request is 43200. Trace ID: \
         11111111-2222-3333-4444-555555555555 Correlation ID: 01234567-89ab-cdef-0123-456789abcdef",
        "File \"/usr/lib64/az/lib/python3.11/site-packages/azure/cli/core/auth/msal_authentication.py\", line 57",
        "The password is wrong; run az login --scope https://redis.azure.com/.default",
        "go to https://portal or write to me@contoso.com",
        r#"{"at":"https://portal","by":"me@contoso.com"}"#,
        "the server offers Negotiate;Kerberos",
        "a password > 8 characters",
    ] {
        assert_eq!(scrub_unknown(text), text);
    }
}

#[test]
fn values_with_a_telling_name_are_blanked_whole() {
    for (text, expected) in [
        ("password=hunter2, x", "password=[redacted], x"),
        ("Authorization: Bearer abcdefgh", "Authorization: [redacted] [redacted]"),
        ("Authorization: Basic aHVudGVyMg==, x", "Authorization: [redacted] [redacted], x"),
        ("{\"refresh_token\": \"abc\"}", "{\"refresh_token\": \"[redacted]\"}"),
        ("client_id=G&client_secret=hunter2&scope=a", "client_id=G&client_secret=[redacted]&scope=a"),
        ("client_id%3DG%26client_secret%3Dhunter2%26scope", "client_id%3DG%26client_secret%3D[redacted]%26scope"),
        (r#"said "{\"password\": \"hunter2\"}""#, r#"said "{\"password\": \"[redacted]\"}""#),
        (r#"{"password":"hunter two, \"three\" & 'four'","user":"bob"}"#, r#"{"password":"[redacted]","user":"bob"}"#),
        (r#"{"password":"","user":"bob"}"#, r#"{"password":"","user":"bob"}"#),
        (r#"{"password":"!?","user":"bob"}"#, r#"{"password":"[redacted]","user":"bob"}"#),
        (r#"{"password": {"value": "hunter2"}}"#, r#"{"password": {[redacted]}}"#),
        ("'token': 'hunter2'", "'token': '[redacted]'"),
        ("AZURE_CLIENT_SECRET=hunter2", "AZURE_CLIENT_SECRET=[redacted]"),
        ("export AZURE_CLIENT_SECRET='hunter 2'", "export AZURE_CLIENT_SECRET='[redacted]'"),
        ("proxy_password=hunter2:3=4", "proxy_password=[redacted]"),
        ("az login -u me --password hunter2 --tenant t", "az login -u me --password [redacted] --tenant t"),
        ("--client-secret = hunter2", "--client-secret = [redacted]"),
        ("-passin pass:hunter2", "-passin pass:[redacted]"),
        ("password:\n  hunter2", "password:\n  [redacted]"),
        ("AccountKey=hunter2==;EndpointSuffix=x", "AccountKey=[redacted];EndpointSuffix=x"),
        ("https://x/y?sv=1&sig=hunter2%3D&se=2", "https://x/y?sv=1&sig=[redacted]&se=2"),
        ("https://x/#access_token=hunter2&state=1", "https://x/#access_token=[redacted]&state=1"),
        ("proxy http://svc:Winter2024@proxy:8080 refused", "proxy http://[redacted]@proxy:8080 refused"),
        ("http://svc:Win/ter#2024@proxy:8080/x, http://a@b", "http://[redacted]@proxy:8080/x, http://[redacted]@b"),
        ("http%3A%2F%2Fsvc%3AWinter2024%40proxy", "http%3A%2F%2F[redacted]%40proxy"),
        ("a://svc:Winter2024@proxy", "a://[redacted]@proxy"),
        ("Proxy-Authenticate said Bearer  abcdefgh", "Proxy-Authenticate said Bearer  [redacted]"),
        (
            r#"-H "X: Bearer abcdefgh" 'Bearer abcdefgh' https://x"#,
            r#"-H "X: Bearer [redacted]" 'Bearer [redacted]' https://x"#,
        ),
        ("password={hunter two}, x", "password={[redacted]}, x"),
        ("password=(hunter two), x", "password=([redacted]), x"),
        ("password=<hunter two>, x", "password=<[redacted]>, x"),
        ("password={hunter two", "password={[redacted]"),
        ("secret: AADSTShunter2", "secret: [redacted]"),
        ("secret: AADSTS12345678901", "secret: [redacted]"),
    ] {
        assert_eq!(scrub_unknown(text), expected, "{text}");
        assert_eq!(scrub_unknown(expected), expected);
    }
    assert_eq!(scrub_unknown("password=[hunter two], x"), "password=[[redacted]], x");
}

#[test]
fn a_jwt_is_told_wherever_it_stands() {
    let jwt = token(9);
    for text in [jwt.clone(), format!("token{jwt}"), format!("{}.{jwt}", &jwt[20..40]), format!("Bearer%20{jwt}")] {
        for shown in [scrub_jwts(&text), scrub_unknown(&text)] {
            assert!(!shown.contains("eyJ") && !shown.contains(&jwt[30..36]), "{text}: {shown}");
        }
    }
    assert_eq!(scrub_jwts(&format!("old {jwt}, new {}", token(10))), "old [redacted], new [redacted]");
    let names = "PrimaryKeyJoinTable and KeyJoinsacrossdatabases";
    assert_eq!(scrub_jwts(names), names);
    assert_eq!(scrub_jwts("the JWT eyJ0eXAiOi is cut"), "the JWT [redacted] is cut");
    assert_eq!(scrub_jwts("of eyJ0eXAi, too little is left"), "of eyJ0eXAi, too little is left");
}

/// An id is none where it is a part of something longer.
#[test]
fn ids_are_shown_wherever_they_stand_alone() {
    const ID: &str = "a1b2c3d4-e5f6-a7b8-c9d0-e1f2a3b4c5d6";
    for text in [ID.to_owned(), format!("app_{ID}"), format!("{ID}-b"), format!("{ID}_{ID}"), format!("by {ID}.json")] {
        assert_eq!(scrub_unknown(&text), text);
    }
    for text in [format!("a{ID}"), format!("{ID}f"), format!("9{ID}e"), format!("{ID}{ID}"), ID.replace('-', "0")] {
        assert_eq!(scrub_unknown(&text), REDACTED, "{text}");
    }
    let random = "z9Y8x7W6v5U4t3S2";
    assert_eq!(scrub_unknown(&format!("{ID}_{random}")), REDACTED);
    assert_eq!(scrub_unknown(&format!("{random}_{ID}")), REDACTED);
}

/// Of each, there is as much in a text as it may hold.
#[test]
fn many_secrets_in_a_text_take_no_longer_than_a_few() {
    let fastest = |scrub: &dyn Fn() -> String| {
        let times = (0..3).map(|_| {
            let start = Instant::now();
            assert!(!scrub().contains("hunter"));
            start.elapsed()
        });
        times.min().unwrap()
    };
    let numbered = |piece: &dyn Fn(usize) -> String| (0..3000).map(piece).collect::<Vec<_>>().concat();
    let (token, plain) = (Secret::new(token(3)), numbered(&|number| format!("word {number} ")));
    let one = fastest(&|| token.scrub(&plain));
    for text in [
        numbered(&|number| format!("eyJaaa{number:04} ")),
        numbered(&|number| format!("xeyJaaa{number:04}")),
        numbered(&|number| format!("password=hunter{number} ")),
        numbered(&|_| "http://a:b".to_owned()),
        numbered(&|_| "secret=\"\\\\".to_owned()),
        numbered(&|_| "eyJ-aaaaa".to_owned()),
    ] {
        // A pass for each of them takes more than a thousand times as long as one.
        let many = fastest(&|| scrub_unknown(&text));
        assert!(many < 100 * one, "{}: {many:?}, {one:?}", &text[..20]);
    }
}

/// Secrets of every alphabet and length that people have.
fn secrets() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9_~.-]{40}", "[ -~]{1,60}", "[\\PC\n\t]{1,30}", any::<u64>().prop_map(token),]
}

/// How it may come back.
fn written(piece: &str, how: usize) -> String {
    let in_json = |text: &str| {
        let quoted = Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let parts: Vec<String> = match how {
        1 => vec![in_json(piece)],
        2 => piece.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect(),
        3 => piece.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        4 => piece.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        5 => vec![in_json(&in_json(piece))],
        6 => piece.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
        _ => vec![piece.to_owned()],
    };
    parts.concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_piece_of_six_characters_survives(
        secret in secrets(), (from, to) in any::<(Index, Index)>(), how in 0..7_usize,
        (before, after) in ("[a-z '\"]{0,20}", "[a-z '\"]{0,20}"),
    ) {
        let chars: Vec<char> = secret.chars().collect();
        let (from, to) = (from.index(chars.len()), to.index(chars.len()) + 1);
        prop_assume!(from < to);
        let piece: String = chars[from..to].iter().collect();
        let text = format!("{before}{}{after}", written(&piece, how));
        let shown = Secret::new(secret.as_str()).scrub(&text);
        let left = shown.replace(REDACTED, "\u{0}");
        for six in chars.windows(6) {
            let six: String = six.iter().collect();
            for how in 0..7 {
                prop_assert!(!left.contains(&written(&six, how)), "{six:?} of {secret:?} in {left:?}");
            }
        }
    }

    #[test]
    fn a_wrapped_token_leaves_no_line_of_six_characters(seed in any::<u64>(), width in 6..80_usize, wrap in "(\n|\r\n|\n  |\\\\n|\\\\\n)") {
        let token = token(seed);
        let lines: Vec<&str> = token.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
        let shown = Secret::new(token.as_str()).scrub(&format!("got {}!", lines.join(&wrap)));
        prop_assert_eq!(shown, "got [redacted]!");
    }

    #[test]
    fn nothing_panics(secret in any::<String>(), text in any::<String>(), code in "([%\\\\&;u{x}\u{1b}\\[0-9a-f#]|amp;|é){0,40}") {
        for text in [text, code.clone()] {
            for secret in [&secret, &code] {
                _ = Secret::new(secret.as_str()).scrub(&text);
            }
            _ = scrub_unknown(&text);
            _ = scrub_jwts(&text);
        }
    }
}

/// No piece of a token that nobody knows is left, though half an escape stands before it, or something foreign within
/// it.
#[test]
fn a_token_that_nobody_knows_is_blanked_behind_half_an_escape_and_across_what_came_into_it() {
    const TOKEN: &str =
        "eyJgtD7fGUOv8fwNfBb0jXxU.eyJJR4QQAabVVloZaXZxmCu1VShIqmArIntn9oX98W.HgCtzC1uwB5FXZPf7stg7NvlE3La";
    let assert_hidden = |text: &str| {
        for shown in [scrub_unknown(text), scrub_jwts(text)] {
            let shown = shown.replace("[redacted]", "\0");
            let left = TOKEN.as_bytes().windows(6).map(|six| str::from_utf8(six).unwrap());
            let left: Vec<_> = left.filter(|six| shown.contains(six)).collect();
            assert!(left.is_empty(), "{left:?} of the token in {shown:?}, from {text:?}");
        }
    };
    for before in ["", "a%2", "a%b", "a%5", "\u{1b}[1", "\\u00", "&#x", "&#1"] {
        assert_hidden(&format!("{before}{TOKEN} was refused"));
    }
    for foreign in ["\u{fffd}", "\u{0}", "\n", "\r\n", "\u{200b}\n"] {
        for at in [8, 30, 60, 80] {
            let (start, end) = TOKEN.split_at(at);
            assert_hidden(&format!("the token {start}{foreign}{end} was refused"));
        }
    }
    // What follows a token on the next line is no part of it.
    assert_eq!(scrub_jwts(&format!("{TOKEN}\nexpired on Monday")), "[redacted]\nexpired on Monday");
    assert_eq!(scrub_jwts(&format!("{TOKEN}\u{fffd} expired")), "[redacted]\u{fffd} expired");
}
