//! The identity that Azure gives to a machine, through the Instance Metadata Service.

use super::{
    answer,
    authority::base_url,
    http::{self, Proxy},
};
use crate::{Error, TokenFuture, TokenSource};
use reqwest::{Client, Url};

/// The address that every Azure virtual machine answers on.
const IMDS: &str = "http://169.254.169.254";

/// Which of a machine's identities to use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagedIdentity {
    /// The one that lives and dies with the machine.
    SystemAssigned,
}

pub(super) struct ImdsSource {
    client: Client,
    endpoint: Url,
    resource: String,
}

impl ImdsSource {
    pub(super) fn new(host: Option<&str>, resource: &str) -> Result<Self, Error> {
        let mut endpoint = base_url("imds_host", host.unwrap_or(IMDS))?;
        endpoint.set_path("metadata/identity/oauth2/token");
        Ok(Self {
            client: http::client(Proxy::Never, endpoint.scheme() == "https")?,
            endpoint,
            resource: resource.to_owned(),
        })
    }
}

impl TokenSource for ImdsSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(async {
            let query = [("api-version", "2018-02-01"), ("resource", self.resource.as_str())];
            let request = self.client.get(self.endpoint.clone()).query(&query).header("Metadata", "true");
            let answer = http::send(request, self.endpoint.as_str())
                .await
                .map_err(|error| error.with_hint("is this running on Azure, with a managed identity?"))?;
            answer::token(&answer, self.endpoint.as_str()).map_err(|error| match error.status() {
                // IMDS answers so while it is being updated, for up to 70 s.
                Some(404 | 410) => error.with_transient(true),
                _ => error,
            })
        })
    }
}
