use super::*;

const ID: &str = "7e57e57e-0000-4000-8000-000000000002";

#[test]
fn causes_are_told_from_the_number_first_and_then_from_the_kind() {
    let app = Credential::service_principal(ID, "secret", ID);
    let pod = Credential::workload_identity_with(ID, ID, "/token");
    let numbered = |code| Error::new(ErrorKind::CredentialRejected, "x").with_aadsts(Some(code));
    for (credential, error, cause) in [
        (&app, numbered(7_000_215), Cause::SecretWrong),
        (&app, numbered(700_024), Cause::ClockOff),
        (&pod, numbered(700_024), Cause::TokenFileOld),
        (&app, numbered(1), Cause::CredentialRefused),
        (&pod, Error::new(ErrorKind::CredentialUnavailable, "x").with_hint(FILE_MISSING), Cause::TokenFileMissing),
        (
            &app,
            Error::new(ErrorKind::CredentialUnavailable, "x").with_hint(FILE_MISSING),
            Cause::CertificateFileMissing,
        ),
        (&app, Error::new(ErrorKind::TokenEndpoint, "x").with_status(429), Cause::TooManyRequests),
        (&app, Error::new(ErrorKind::TokenEndpoint, "x").with_status(503), Cause::IdentityOutOfOrder),
        (&app, Error::new(ErrorKind::TokenEndpoint, "x"), Cause::IdentityUnreachable),
        (&app, Error::new(ErrorKind::MalformedToken, "x"), Cause::TokenUnusable),
    ] {
        assert_eq!(Cause::of_token(credential, &error), cause);
    }
}
