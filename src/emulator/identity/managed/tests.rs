use super::*;
use crate::emulator::tokens::{USER_ASSIGNED_CLIENT_ID, USER_ASSIGNED_RESOURCE_ID};

#[test]
fn an_identity_is_found_by_the_names_and_ids_that_the_endpoint_knows() {
    let known = [("client_id", USER_ASSIGNED_CLIENT_ID), ("mi_res_id", USER_ASSIGNED_RESOURCE_ID)];
    let found = |parameters: &[(&str, &str)]| {
        identity(&TokenRequest::get().with(parameters), &known)
            .map(|claims| claims.client_id() == USER_ASSIGNED_CLIENT_ID)
    };
    assert_eq!(found(&[]), Some(false));
    assert_eq!(found(&[("client_id", USER_ASSIGNED_CLIENT_ID)]), Some(true));
    assert_eq!(found(&[("client_id", CLIENT_ID)]), Some(false));
    let shouted = USER_ASSIGNED_RESOURCE_ID.to_uppercase();
    assert_eq!(found(&[("mi_res_id", shouted.as_str())]), Some(true));
    for wrong in [
        &[("client_id", "somebody-else")][..],
        &[("client_id", "")],
        &[("msi_res_id", USER_ASSIGNED_RESOURCE_ID)],
        &[("clientid", USER_ASSIGNED_CLIENT_ID)],
        &[("clientid", CLIENT_ID)],
        &[("mi_res_id", CLIENT_ID)],
        &[("client_id", USER_ASSIGNED_CLIENT_ID), ("mi_res_id", USER_ASSIGNED_RESOURCE_ID)],
    ] {
        assert_eq!(found(wrong), None, "{wrong:?}");
    }
}

#[test]
fn a_resource_is_known_by_each_of_its_names() {
    let resource = |name: &str| resource(&TokenRequest::get().with(&[("resource", name)]));
    assert_eq!(resource("https://redis.azure.com"), Ok(RESOURCE));
    assert_eq!(resource("https://redis.azure.com/"), Ok(RESOURCE));
    assert_eq!(resource(RESOURCE_ID), Ok(RESOURCE));
    for exchange in TOKEN_EXCHANGE {
        assert_eq!(resource(exchange), Ok(exchange));
    }
    assert!(resource("https://vault.azure.net").unwrap_err().starts_with("AADSTS500011: "));
    assert!(resource("").is_err());
}
