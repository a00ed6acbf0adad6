use super::*;
use proptest::prelude::*;

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, body: body.as_bytes().to_vec().into(), ..HttpAnswer::default() }
}

#[test]
fn its_own_answers_are_recognized() {
    for (status, body) in [
        (200, r#"{"access_token":"t","expires_in":"3599"}"#),
        (400, r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#),
        (400, r#"{"error":"Bad request. Required metadata header not specified"}"#),
        (401, r#"{"error":"unknown_source"}"#),
        (404, r#"{"error":"anything","error_description":"with a description"}"#),
        (503, r#"{"ErrorCode":"ServiceUnavailable","ExceptionMessage":"busy","StackTrace":null}"#),
        (503, r#"{"ErrorCode":"ServiceUnavailable"}"#),
    ] {
        assert!(is_imds(&answer(status, body)), "{body}");
    }
}

#[test]
fn a_header_is_enough() {
    for server in ["IMDS/150.870.65.1854", "imds/1"] {
        assert!(is_imds(&HttpAnswer { server: Some(server.to_owned()), ..answer(500, "") }), "{server}");
    }
    assert!(is_imds(&HttpAnswer { is_microsofts: true, ..answer(503, "<html>") }));
    for server in ["", "IMDS", "EC2ws", "Metadata Server for VM", "Microsoft-IIS/10.0", "not IMDS/1", "é"] {
        assert!(!is_imds(&HttpAnswer { server: Some(server.to_owned()), ..answer(500, "") }), "{server}");
    }
}

#[test]
fn others_are_not() {
    for (status, body) in [
        (200, ""),
        (200, "<html>sign in</html>"),
        (200, r#"{"message":"welcome"}"#),
        (200, r#"["access_token"]"#),
        (302, ""),
        (401, "<html><title>401 - Unauthorized</title></html>"),
        (403, "connecting to 169.254.169.254:80: Der Netzwerkstandort kann nicht erreicht werden."),
        (404, r#"{"timestamp":"now","status":404,"error":"Not Found","path":"/metadata/identity/oauth2/token"}"#),
        (404, r#"{"error":{"code":404,"message":"no such path"}}"#),
        (404, r#"{"message":"Not Found"}"#),
        (407, "proxy authentication required"),
        (502, r#"{"error":5,"error_description":5}"#),
    ] {
        assert!(!is_imds(&answer(status, body)), "{body}");
    }
}

#[test]
fn html_is_not_plain_whatever_it_is_called() {
    for (is_plain_text, body, expected) in
        [(true, "no identity", true), (true, " <html>", false), (false, "no identity", false)]
    {
        assert_eq!(is_plain(&HttpAnswer { is_plain_text, ..answer(404, body) }), expected, "{body}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_a_reason_to_panic(status in 0_u16..1000, server in any::<String>(), body in any::<String>()) {
        let answer = HttpAnswer { server: Some(server), ..answer(status, &body) };
        _ = (is_imds(&answer), is_json(&answer));
    }
}
