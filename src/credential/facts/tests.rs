use super::*;
use crate::error::ErrorKind;

const ID: &str = "7e57e57e-0000-4000-8000-000000000002";

#[test]
fn ids_are_shown_and_what_may_be_a_secret_is_not() {
    let of = |client: &str, tenant: &str| Credential::service_principal(client, "secret", tenant).facts();
    let facts = of(ID, "contoso.onmicrosoft.com");
    assert_eq!(facts.what, format!("a client secret of the application {ID} of tenant contoso.onmicrosoft.com"));
    assert_eq!((facts.client_id.as_deref(), facts.has_odd_client_id), (Some(ID), false));
    let facts = of("Kq8~abc", "Kq8~def");
    assert!(!facts.what.contains("Kq8") && facts.has_odd_client_id, "{}", facts.what);
    assert_eq!((facts.client_id, facts.tenant_id), (None, None));
    let identity = ManagedIdentity::UserAssignedClientId("Kq8~abc".to_owned());
    assert!(!Credential::managed_identity(identity).facts().what.contains("Kq8"));
}

#[test]
fn a_client_id_that_may_be_a_secret_is_blanked_in_errors() {
    let swapped = Credential::service_principal("Kq8~abcdefgh", "secret", ID);
    let error = Error::new(ErrorKind::CredentialRejected, "Application 'Kq8~abcdefgh' was not found");
    assert!(!swapped.told(&error).contains("abcdefgh"), "{}", swapped.told(&error));
    let right = Credential::service_principal(ID, "secret", ID);
    assert_eq!(right.told(&error), error.to_string());
}
