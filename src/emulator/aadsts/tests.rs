use super::*;

#[test]
fn a_refusal_has_the_documented_body() {
    let refusal = refusal(700_016, "some-app");
    assert_eq!((refusal.status(), refusal.code()), (400, Some(700_016)));
    let body = refusal.body();
    assert_eq!(body["error"], "unauthorized_client");
    assert_eq!(body["error_uri"], "https://login.microsoftonline.com/error?code=700016");
    let description = body["error_description"].as_str().unwrap();
    let lines: Vec<_> = description.split("\r\n").collect();
    assert!(lines[0].starts_with("AADSTS700016: Application with identifier 'some-app'"), "{description}");
    assert_eq!(lines[1], format!("Trace ID: {}", body["trace_id"].as_str().unwrap()));
    assert_eq!(lines[2], format!("Correlation ID: {}", body["correlation_id"].as_str().unwrap()));
    assert_eq!(lines[3], format!("Timestamp: {}", body["timestamp"].as_str().unwrap()));
    // As in the documentation's example: 2016-01-09 02:02:12Z.
    let timestamp = body["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 20 && timestamp.as_bytes()[10] == b' ' && timestamp.ends_with('Z'), "{timestamp}");
}
