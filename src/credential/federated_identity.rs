//! A managed identity as a federated credential of an app registration: its token is the assertion. The app may be
//! another tenant's.

use super::token_endpoint::TokenEndpoint;
use crate::{
    error::Error,
    secret::Secret,
    token::{TokenFuture, TokenSource},
};
use std::sync::Arc;

pub(super) struct FederatedIdentitySource {
    endpoint: TokenEndpoint,
    /// Gives tokens of the managed identity that are for Entra ID's token exchange.
    identity: Arc<dyn TokenSource>,
}

impl FederatedIdentitySource {
    pub(super) const NAME: &'static str = "federated-managed-identity";

    pub(super) fn new(endpoint: TokenEndpoint, identity: Arc<dyn TokenSource>) -> Self {
        Self { endpoint, identity }
    }

    async fn assertion(&self) -> Result<Secret, Error> {
        let token = self.identity.fetch().await.map_err(|error| {
            let message = format!("no token of the managed identity itself: {}", error.message());
            error.with_message(message)
        })?;
        Ok(token.secret().clone())
    }
}

impl TokenSource for FederatedIdentitySource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.endpoint.token_for_assertion(move |_| self.assertion()))
    }
}
