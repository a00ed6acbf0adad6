//! A server that Azure Arc manages, as the emulator plays it.

use super::{Credential, Kind, ManagedIdentity, process_env::ProcessEnv};
use crate::error::Error;
use std::{path::PathBuf, sync::Arc};

impl Credential {
    /// The managed identity of such a server, found as anywhere, whose agent listens at `endpoint` and writes its
    /// challenge files into `tokens`: the emulator's cannot write where the real one does.
    pub(crate) fn on_arc(endpoint: &str, tokens: PathBuf) -> Result<Self, Error> {
        let variables = [("IDENTITY_ENDPOINT", endpoint), ("IMDS_ENDPOINT", endpoint)];
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = ProcessEnv { variables: Arc::new(owned.into()), arc_tokens: tokens, ..ProcessEnv::of_process() };
        let source = Self::managed_identity(ManagedIdentity::SystemAssigned).resolve_in(&env)?;
        Ok(Self::of(Kind::Custom(source)))
    }
}
