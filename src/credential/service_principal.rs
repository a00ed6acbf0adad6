//! An app registration with a client secret: the OAuth 2.0 client credentials grant.

use super::{
    answer,
    authority::Authority,
    http::{self, Proxy},
};
use crate::{AccessToken, Error, Secret, TokenFuture, TokenSource};
use reqwest::{Client, Url};

pub(super) struct ServicePrincipalSource {
    client: Client,
    endpoint: Url,
    client_id: String,
    client_secret: Secret,
    scope: String,
}

impl ServicePrincipalSource {
    pub(super) fn new(
        authority: &Authority,
        client_id: &str,
        client_secret: &Secret,
        scope: &str,
    ) -> Result<Self, Error> {
        if client_id.trim().is_empty() {
            return Err(Error::config("client_id", "is empty"));
        }
        if client_secret.expose().is_empty() {
            return Err(Error::config("client_secret", "is empty"));
        }
        let endpoint = authority.token_endpoint().clone();
        Ok(Self {
            client: if authority.is_local() {
                http::client(Proxy::Never, false)?
            } else {
                http::client(Proxy::FromEnvironment, true)?
            },
            endpoint,
            client_id: client_id.to_owned(),
            client_secret: client_secret.clone(),
            scope: scope.to_owned(),
        })
    }

    async fn request(&self) -> Result<AccessToken, Error> {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.expose()),
            ("scope", self.scope.as_str()),
            ("grant_type", "client_credentials"),
        ];
        let request = self.client.post(self.endpoint.clone()).form(&form);
        let mut answer = http::send(request, self.endpoint.as_str()).await?;
        answer.forget(&self.client_secret);
        answer::token(&answer, self.endpoint.as_str())
    }
}

impl TokenSource for ServicePrincipalSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.request())
    }
}
