//! The one next thing to do, as a command that can be copied: names that are known are filled in.

mod token;

use super::{Doctor, environment};
use crate::{
    client::target::{CLASSIC_DOMAINS, CLASSIC_PORT, usual_port},
    ids::UserName,
};
use std::fmt::Write;

/// What commands are filled in with.
#[derive(Clone, Debug, Default)]
pub(super) struct Advice {
    host: String,
    port: u16,
    /// The options that the doctor was called with, besides host and port.
    options: Vec<(&'static str, String)>,
    username: Option<UserName>,
    pub(super) client_id: Option<String>,
    pub(super) tenant_id: Option<String>,
}

/// What the host name says of the cache.
enum Kind {
    /// Azure Managed Redis.
    Managed,
    /// Azure Cache for Redis.
    Classic,
    /// It is no name of Azure's.
    Unknown,
}

/// The host names that Azure gives out, in its clouds.
const MANAGED: [&str; 3] = [".redis.azure.net", ".redis.usgovcloudapi.net", ".redis.chinacloudapi.cn"];

impl Advice {
    pub(super) fn new(doctor: &Doctor) -> Self {
        let facts = doctor.credential.as_ref().ok().map(crate::credential::Credential::facts).unwrap_or_default();
        Self {
            host: environment::named(doctor.host()),
            port: doctor.place.port,
            options: doctor.options.clone(),
            username: doctor.username.clone(),
            client_id: facts.client_id,
            tenant_id: facts.tenant_id,
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The doctor once more, as it was called, but for these options; one with an empty value is left out.
    pub(super) fn again(&self, changes: &[(&'static str, &str)]) -> String {
        let port = self.port.to_string();
        let mut options = vec![("--host", self.host.as_str()), ("--port", port.as_str())];
        options.extend(self.options.iter().map(|(name, value)| (*name, value.as_str())));
        if let Some(user) = &self.username {
            options.push(("--username", if user.is_shown() { user.expose() } else { "<OBJECT_ID>" }));
        }
        for (name, value) in changes {
            match options.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = value,
                None => options.push((name, value)),
            }
        }
        let mut command = "entra-redis doctor".to_owned();
        for (name, value) in options {
            // Those without a value stand for themselves.
            _ = match value {
                "" => Ok(()),
                "yes" if FLAGS.contains(&name) => write!(command, " {name}"),
                value => write!(command, " {name} {}", quoted(value)),
            };
        }
        command
    }

    fn kind(&self) -> (Kind, &str) {
        let name = self.host.split('.').next().unwrap_or_default();
        let has = |suffixes: &[&str]| suffixes.iter().any(|suffix| self.host.ends_with(suffix));
        if !has(&MANAGED) && !has(&CLASSIC_DOMAINS) {
            (Kind::Unknown, "<CACHE>")
        } else if usual_port(&self.host) == CLASSIC_PORT {
            (Kind::Classic, name)
        } else {
            (Kind::Managed, name)
        }
    }

    /// Whether the host is named as Azure names caches.
    pub(super) fn is_azure_name(&self) -> bool {
        !matches!(self.kind().0, Kind::Unknown)
    }

    /// The cache's name and its resource group, for `az`.
    fn cache(&self) -> (Kind, &str, String) {
        let (kind, name) = self.kind();
        let group = match kind {
            Kind::Managed => {
                format!("\"$(az redisenterprise list --query \"[?name=='{name}'].resourceGroup | [0]\" --output tsv)\"")
            }
            Kind::Classic => {
                format!("\"$(az redis list --query \"[?name=='{name}'].resourceGroup | [0]\" --output tsv)\"")
            }
            Kind::Unknown => "<RESOURCE_GROUP>".to_owned(),
        };
        (kind, name, group)
    }

    /// An access policy for this principal.
    pub(super) fn assign(&self, object_id: &str) -> String {
        let (kind, name, group) = self.cache();
        // Names of assignments are letters and digits.
        let assignment: String = object_id.chars().filter(char::is_ascii_alphanumeric).collect();
        let object_id = quoted(object_id);
        match kind {
            Kind::Classic => format!(
                "az redis access-policy-assignment create --resource-group {group} --name {name} \
                 --policy-assignment-name {assignment} --access-policy-name 'Data Contributor' \
                 --object-id {object_id} --object-id-alias {assignment}"
            ),
            _ => format!(
                "az redisenterprise database access-policy-assignment create --resource-group {group} \
                 --cluster-name {name} --database-name default --access-policy-assignment-name {assignment} \
                 --access-policy-name default --object-id {object_id}"
            ),
        }
    }

    /// Which access policies there are, for whom.
    pub(super) fn assignments(&self) -> String {
        let (kind, name, group) = self.cache();
        match kind {
            Kind::Classic => {
                format!("az redis access-policy-assignment list --resource-group {group} --name {name}")
            }
            _ => format!(
                "az redisenterprise database access-policy-assignment list --resource-group {group} \
                 --cluster-name {name} --database-name default"
            ),
        }
    }

    /// A setting of the cache, by its name in Azure's answer.
    pub(super) fn show(&self, of_cluster: &str) -> String {
        let (kind, name, group) = self.cache();
        let program = if matches!(kind, Kind::Classic) { "az redis show" } else { "az redisenterprise show" };
        format!("{program} --resource-group {group} --name {name} --query {of_cluster}")
    }

    /// The database's cluster policy.
    pub(super) fn show_policy(&self) -> String {
        let (_, name, group) = self.cache();
        format!(
            "az redisenterprise database show --resource-group {group} --cluster-name {name} --query clusteringPolicy"
        )
    }

    /// More room on the cache.
    pub(super) fn scale_up(&self) -> String {
        let (kind, name, group) = self.cache();
        match kind {
            Kind::Classic => {
                format!("az redis update --resource-group {group} --name {name} --sku <SKU> --vm-size <SIZE>")
            }
            _ => format!("az redisenterprise update --resource-group {group} --name {name} --sku <LARGER_SKU>"),
        }
    }

    /// A network security rule that lets connections out.
    pub(super) fn open_ports(&self) -> String {
        format!(
            "az network nsg rule create --resource-group <RESOURCE_GROUP> --nsg-name <NSG> --name AllowRedis \
             --priority 200 --direction Outbound --access Allow --protocol Tcp --destination-port-ranges {} 8500-8599",
            self.port
        )
    }

    /// What the server shows to everybody who connects.
    pub(super) fn show_certificate(&self) -> String {
        let (host, port) = (&self.host, self.port);
        format!(
            "openssl s_client -connect {host}:{port} -servername {host} </dev/null | openssl x509 -noout -issuer -dates \
             -ext subjectAltName"
        )
    }
}

/// What keeps the clock right.
pub(super) const SET_CLOCK: &str = "sudo timedatectl set-ntp true";

/// Options without a value.
const FLAGS: [&str; 2] = ["--read-only", "--resp2"];

/// A value as every shell takes it.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
