//! An app registration with a client secret.

use super::token_endpoint::TokenEndpoint;
use crate::{
    error::Error,
    secret::Secret,
    token::{TokenFuture, TokenSource},
};

pub(super) struct ClientSecretSource {
    endpoint: TokenEndpoint,
    secret: Secret,
}

impl ClientSecretSource {
    pub(super) const NAME: &'static str = "service-principal-secret";

    pub(super) fn new(endpoint: TokenEndpoint, secret: &Secret) -> Result<Self, Error> {
        if secret.expose().is_empty() {
            return Err(Error::config("client_secret", "is empty"));
        }
        Ok(Self { endpoint, secret: secret.clone() })
    }
}

impl TokenSource for ClientSecretSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.endpoint.token_for_secret(&self.secret))
    }
}
