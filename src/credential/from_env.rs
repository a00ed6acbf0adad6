//! The credential that the `AZURE_*` variables describe.

use super::{App, ClientCertificate, Kind, ManagedIdentity, process_env::ProcessEnv, selection};
use crate::{
    error::{Error, ErrorKind},
    secret::Secret,
};

const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const TENANT_ID: &str = "AZURE_TENANT_ID";
const CERTIFICATE_PATH: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const CERTIFICATE_PASSWORD: &str = "AZURE_CLIENT_CERTIFICATE_PASSWORD";
const SEND_CHAIN: &str = "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

// What Azure's Service Connector sets: the client id of a user-assigned managed identity, or all three of a service
// principal, <https://learn.microsoft.com/azure/service-connector/how-to-integrate-redis-cache>.
const REDIS_CLIENT_ID: &str = "AZURE_REDIS_CLIENTID";
const REDIS_CLIENT_SECRET: &str = "AZURE_REDIS_CLIENTSECRET";
const REDIS_TENANT_ID: &str = "AZURE_REDIS_TENANTID";

const SERVICE_PRINCIPAL: &str = "a service principal (unset the others to use the managed identity)";

/// What the variables describe most fully: a service principal that is whole, or else the managed identity.
///
/// A secret, certificate or token file of a principal that is not named is an error all the same: it would be another
/// identity than the one meant that connects.
pub(super) fn any(env: &ProcessEnv) -> Result<Kind, Error> {
    if selection::is_made(env) {
        // What is wrong with it is told here, where it was read.
        selection::candidates(env)?;
        return Ok(Kind::DefaultChain);
    }
    if let Some(connected) = service_connector(env)? {
        return Ok(connected);
    }
    if let Some(principal) = service_principal(env)? {
        return Ok(principal);
    }
    if env.get(TOKEN_FILE).is_some() {
        return workload_identity(env);
    }
    Ok(Kind::ManagedIdentity(managed_identity(env)))
}

/// Who is to connect to Redis, as Azure's Service Connector says it; none if it has set nothing of that.
fn service_connector(env: &ProcessEnv) -> Result<Option<Kind>, Error> {
    if let Some(secret) = env.get(REDIS_CLIENT_SECRET) {
        let [client_id, tenant_id] = env.all([REDIS_CLIENT_ID, REDIS_TENANT_ID], SERVICE_PRINCIPAL)?;
        return Ok(Some(Kind::Secret { app: App { client_id, tenant_id }, secret: Secret::new(secret) }));
    }
    let Some(client_id) = env.get(REDIS_CLIENT_ID) else {
        return Ok(None);
    };
    let tenant_id = env.get(REDIS_TENANT_ID).or_else(|| env.get(TENANT_ID));
    Ok(Some(match (env.get(TOKEN_FILE), tenant_id) {
        (Some(token_file), Some(tenant_id)) => {
            Kind::WorkloadIdentity { app: App { client_id, tenant_id }, token_file: token_file.into() }
        }
        _ => Kind::ManagedIdentity(ManagedIdentity::UserAssignedClientId(client_id)),
    }))
}

/// A service principal with its secret, or else with its certificate; none if nothing hints at one; an error if it is
/// there in part.
fn service_principal(env: &ProcessEnv) -> Result<Option<Kind>, Error> {
    if let Some(secret) = env.get(CLIENT_SECRET) {
        let app = app(env)?;
        return Ok(Some(Kind::Secret { app, secret: Secret::new(secret) }));
    }
    let Some(path) = env.get(CERTIFICATE_PATH) else {
        return Ok(None);
    };
    let app = app(env)?;
    let password = Secret::new(env.get(CERTIFICATE_PASSWORD).unwrap_or_default());
    let send_chain = env.get(SEND_CHAIN).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
    let certificate = ClientCertificate::file(path, password).send_chain(send_chain);
    Ok(Some(Kind::Certificate { app, certificate }))
}

/// The same for the default chain, which passes over a service principal that is not there.
pub(super) fn required_service_principal(env: &ProcessEnv) -> Result<Kind, Error> {
    service_principal(env)?.ok_or_else(|| {
        let message = format!("neither `{CLIENT_SECRET}` nor `{CERTIFICATE_PATH}` is set");
        Error::new(ErrorKind::CredentialUnavailable, message)
    })
}

pub(super) fn workload_identity(env: &ProcessEnv) -> Result<Kind, Error> {
    let names = [CLIENT_ID, TENANT_ID, TOKEN_FILE];
    let [client_id, tenant_id, token_file] = env.all(names, "workload identity")?;
    Ok(Kind::WorkloadIdentity { app: App { client_id, tenant_id }, token_file: token_file.into() })
}

/// A user-assigned managed identity if a client id is given, else the system-assigned one.
pub(super) fn managed_identity(env: &ProcessEnv) -> ManagedIdentity {
    env.get(CLIENT_ID).map_or(ManagedIdentity::SystemAssigned, ManagedIdentity::UserAssignedClientId)
}

fn app(env: &ProcessEnv) -> Result<App, Error> {
    let [client_id, tenant_id] = env.all([CLIENT_ID, TENANT_ID], SERVICE_PRINCIPAL)?;
    Ok(App { client_id, tenant_id })
}
