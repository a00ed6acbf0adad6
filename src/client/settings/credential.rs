//! The credential in settings. It is taken in whatever it is, and looked at later: readers of TOML show the line of an
//! error that is told while they read, and with it a secret that stands there by mistake.

use super::reference::Reference;
use crate::{
    credential::{ClientCertificate, Credential, ManagedIdentity},
    secret::Secret,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What stands there.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Who(Value);

const KNOWN: &str = "`\"from_env\"`, `\"default_chain\"`, `\"azure_cli\"`, `\"azure_developer_cli\"`, \
                     `\"workload_identity\"`, `{ managed_identity = … }` and `{ service_principal = … }`";

impl Who {
    /// What is wrong is told without anything that stands there but the names of fields.
    pub(super) fn into_credential(self) -> Result<Credential, String> {
        match self.0 {
            Value::Null => Ok(Credential::from_env_later()),
            Value::String(name) => match name.as_str() {
                "from_env" => Ok(Credential::from_env_later()),
                "default_chain" => Ok(Credential::default_chain()),
                "azure_cli" => Ok(Credential::azure_cli()),
                "azure_developer_cli" => Ok(Credential::azure_developer_cli()),
                "workload_identity" => Ok(Credential::workload_identity()),
                _ => Err(format!("it is none of {KNOWN}")),
            },
            Value::Object(fields) => match only(fields) {
                Some((name, identity)) if name == "managed_identity" => {
                    managed_identity(identity).map(Credential::managed_identity)
                }
                Some((name, Value::Object(fields))) if name == "service_principal" => service_principal(fields),
                _ => Err(format!("it is none of {KNOWN}")),
            },
            _ => Err(format!("it is none of {KNOWN}")),
        }
    }
}

fn only(fields: Map<String, Value>) -> Option<(String, Value)> {
    let mut fields = fields.into_iter();
    fields.next().filter(|_| fields.next().is_none())
}

fn managed_identity(identity: Value) -> Result<ManagedIdentity, String> {
    match identity {
        Value::String(name) if name == "system_assigned" => return Ok(ManagedIdentity::SystemAssigned),
        Value::Object(fields) => {
            if let Some((name, Value::String(id))) = only(fields) {
                match name.as_str() {
                    "client_id" => return Ok(ManagedIdentity::UserAssignedClientId(id)),
                    "object_id" => return Ok(ManagedIdentity::UserAssignedObjectId(id)),
                    "resource_id" => return Ok(ManagedIdentity::UserAssignedResourceId(id)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    Err("a managed identity is `\"system_assigned\"`, or has one of `client_id`, `object_id` and `resource_id`"
        .to_owned())
}

fn service_principal(fields: Map<String, Value>) -> Result<Credential, String> {
    let mut fields = Fields(fields);
    let (client_id, tenant_id) = (fields.text("client_id")?, fields.text("tenant_id")?);
    let (secret, file) = (fields.reference("client_secret"), fields.text("certificate_file")?);
    let (password, send_chain) = (fields.reference("certificate_password"), fields.flag("send_chain")?);
    fields.end()?;
    let missing = |name: &str| format!("a service principal has a `{name}`");
    let (client_id, tenant_id) =
        (client_id.ok_or_else(|| missing("client_id"))?, tenant_id.ok_or_else(|| missing("tenant_id"))?);
    match (secret, file) {
        (Some(_), None) if password.is_some() || send_chain.is_some() => {
            Err("`certificate_password` and `send_chain` are settings of a certificate, and there is a \
                 `client_secret` in place of one"
                .to_owned())
        }
        (Some(secret), None) => Ok(Credential::service_principal(client_id, secret.read()?, tenant_id)),
        (None, Some(file)) => {
            let password = password.map(Reference::read).transpose()?.unwrap_or_else(|| Secret::new(String::new()));
            let certificate = ClientCertificate::file(file, password).send_chain(send_chain.unwrap_or(false));
            Ok(Credential::client_certificate(client_id, certificate, tenant_id))
        }
        _ => Err("a service principal has either `client_secret` or `certificate_file`".to_owned()),
    }
}

/// Fields that are taken out one after the other.
struct Fields(Map<String, Value>);

impl Fields {
    /// One that is null counts as missing, as it does in the rest of the settings.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{name}` is a text")),
        }
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(format!("`{name}` is `true` or `false`")),
        }
    }

    fn reference(&mut self, name: &str) -> Option<Reference> {
        self.take(name).as_ref().map(Reference::of)
    }

    /// There must be no other ones.
    fn end(self) -> Result<(), String> {
        let unknown = self.0.keys().next().map(|name| super::rest::shown(name));
        unknown.map_or(Ok(()), |name| Err(format!("a service principal has no field {name}")))
    }
}
