//! Workload identity, as in Azure Kubernetes Service: a token file of the cluster is the assertion.

use super::{hints, token_endpoint::TokenEndpoint};
use crate::{
    error::{Error, ErrorKind},
    secret::Secret,
    token::{TokenFuture, TokenSource},
};
use std::path::PathBuf;

pub(super) struct WorkloadIdentitySource {
    endpoint: TokenEndpoint,
    token_file: PathBuf,
}

impl WorkloadIdentitySource {
    pub(super) const NAME: &'static str = "workload-identity";

    pub(super) fn new(endpoint: TokenEndpoint, token_file: PathBuf) -> Result<Self, Error> {
        if token_file.as_os_str().is_empty() {
            return Err(Error::config("token_file", "is empty"));
        }
        Ok(Self { endpoint, token_file })
    }

    /// Kubernetes replaces the file long before it expires: it is read at every exchange.
    async fn assertion(&self) -> Result<Secret, Error> {
        let unusable = |problem: &str| {
            let message = format!("the token file {} {problem}", self.token_file.display());
            Error::new(ErrorKind::CredentialUnavailable, message).with_hint(hints::FILE_MISSING)
        };
        let content = tokio::fs::read(&self.token_file)
            .await
            .map(zeroize::Zeroizing::new)
            .map_err(|source| unusable("cannot be read").with_source(source))?;
        let text = str::from_utf8(&content).map_err(|_| unusable("is not text in UTF-8"))?;
        // Editors and shells on Windows put a byte order mark before it.
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(unusable("is empty"));
        }
        Ok(Secret::new(text))
    }
}

impl TokenSource for WorkloadIdentitySource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.endpoint.token_for_assertion(move |_| self.assertion()))
    }
}
