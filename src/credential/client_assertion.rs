//! An app registration whose assertions the caller makes.

use super::token_endpoint::TokenEndpoint;
use crate::{
    error::{Error, ErrorKind},
    secret::Secret,
    token::{TokenFuture, TokenSource},
};
use std::{pin::Pin, sync::Arc};

type AssertionFuture = Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send>>;

/// The caller's function, asked for an assertion at every exchange.
#[derive(Clone)]
pub(super) struct AssertionMaker(Arc<dyn Fn() -> AssertionFuture + Send + Sync>);

impl AssertionMaker {
    pub(super) fn new<F, R>(make: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Secret, Error>> + Send + 'static,
    {
        Self(Arc::new(move || -> AssertionFuture { Box::pin(make()) }))
    }

    async fn make(&self) -> Result<Secret, Error> {
        let assertion = (self.0)().await?;
        if assertion.expose().trim().is_empty() {
            return Err(Error::new(ErrorKind::CredentialUnavailable, "the caller's client assertion is empty"));
        }
        Ok(assertion)
    }
}

pub(super) struct ClientAssertionSource {
    endpoint: TokenEndpoint,
    maker: AssertionMaker,
}

impl ClientAssertionSource {
    pub(super) const NAME: &'static str = "client-assertion";

    pub(super) fn new(endpoint: TokenEndpoint, maker: AssertionMaker) -> Self {
        Self { endpoint, maker }
    }
}

impl TokenSource for ClientAssertionSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.endpoint.token_for_assertion(move |_| self.maker.make()))
    }
}
