//! The settings: the cache, and which credential they mean.

use super::{Doctor, advice::Advice, cause::Cause, report::Finding};

pub(super) fn look(doctor: &Doctor, advice: &Advice) -> Finding {
    let credential = match &doctor.credential {
        Ok(credential) => {
            let facts = credential.facts();
            if facts.has_odd_client_id {
                let detail = "AZURE_CLIENT_ID holds no id, such as 00000000-0000-0000-0000-000000000000, and is not shown: \
                              client id and client secret may be in each other's place";
                let next = "export AZURE_CLIENT_ID=\"$(az ad app list --display-name <APP> --query '[0].appId' --output tsv)\"";
                return Finding::failed(Cause::ClientIdMalformed, detail, next);
            }
            facts.what
        }
        Err(error) => {
            return Finding::failed(Cause::CredentialIncomplete, error.to_string(), complete(&error.to_string()));
        }
    };
    if let Some(problem) = &doctor.place.problem {
        return problem.clone();
    }
    let Some(host) = &doctor.place.host else {
        return Finding::failed(
            Cause::HostMissing,
            format!(
                "no cache is named: neither `--host` nor REDIS_HOST, REDIS_URL or AZURE_REDIS_HOST is there; the credential is {credential}"
            ),
            "export REDIS_HOST=\"$(az redisenterprise list --query '[0].hostName' --output tsv)\"",
        );
    };
    if !is_host(host) {
        // Nothing else of it is shown: it may be a URL or a connection string with a key.
        let detail = format!(
            "what is given as the host is more than a name: it is to be the name alone, {}, without a scheme, a port or \
             anything else",
            named(host)
        );
        return Finding::failed(Cause::HostMalformed, detail, advice.again(&[]));
    }
    let detail = format!("{host}:{}, as {credential}", doctor.place.port);
    if let Some(variable) = doctor.access_keys.first() {
        return Finding::warning(
            Cause::AccessKeyGiven,
            format!(
                "{detail}; {variable} holds an access key, which is not used: with Microsoft Entra ID the password is \
                 the token, and caches have their access keys disabled by default"
            ),
            format!("unset {variable}"),
        );
    }
    Finding::ok(detail)
}

/// Whether it can be a host name or an address.
pub(super) fn is_host(host: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
    is_address || !host.is_empty() && host.len() <= 253 && host.chars().all(is_fit)
}

/// The host, or what of it may be meant as the host name.
pub(super) fn named(host: &str) -> String {
    if host.is_empty() || is_host(host) {
        return host.to_owned();
    }
    let rest = host.split_once("://").map_or(host, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let name = rest.split(['/', ':', ',', '?']).next().unwrap_or_default().trim();
    if is_host(name) { name.to_owned() } else { "<HOST>".to_owned() }
}

/// The command that fills in what is missing.
fn complete(error: &str) -> String {
    let first = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"]
        .into_iter()
        .find(|name| error.split(" is ").next().is_some_and(|start| start.contains(name)));
    match first {
        Some("AZURE_TENANT_ID") => {
            "export AZURE_TENANT_ID=\"$(az account show --query tenantId --output tsv)\"".to_owned()
        }
        Some("AZURE_CLIENT_ID") => {
            "export AZURE_CLIENT_ID=\"$(az ad app list --display-name <APP> --query '[0].appId' --output tsv)\""
                .to_owned()
        }
        Some("AZURE_CLIENT_SECRET") => "export AZURE_CLIENT_SECRET=\"$(az ad app credential reset --id \
                                        \"$AZURE_CLIENT_ID\" --append --query password --output tsv)\""
            .to_owned(),
        Some(_) => "kubectl get pod \"$(hostname)\" --output \
                    jsonpath='{.metadata.labels.azure\\.workload\\.identity/use}'"
            .to_owned(),
        None if error.contains("AZURE_TOKEN_CREDENTIALS") => "unset AZURE_TOKEN_CREDENTIALS".to_owned(),
        None => "env | grep -o '^AZURE_[A-Z_]*'".to_owned(),
    }
}

#[cfg(test)]
mod tests;
