//! Which credentials the default chain consists of: all, or those that `AZURE_TOKEN_CREDENTIALS` names.

use super::process_env::ProcessEnv;
use crate::error::Error;

/// A member of the default chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    Environment,
    WorkloadIdentity,
    ManagedIdentity,
    AzureCli,
    AzureDeveloperCli,
}

const VARIABLE: &str = "AZURE_TOKEN_CREDENTIALS";

/// What runs on Azure; the developers' tools come after it.
const DEPLOYED: usize = 3;

impl Candidate {
    /// All of them, in the order in which they are tried.
    const ALL: [Self; 5] =
        [Self::Environment, Self::WorkloadIdentity, Self::ManagedIdentity, Self::AzureCli, Self::AzureDeveloperCli];

    /// Its name in the Azure SDKs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Environment => "EnvironmentCredential",
            Self::WorkloadIdentity => "WorkloadIdentityCredential",
            Self::ManagedIdentity => "ManagedIdentityCredential",
            Self::AzureCli => "AzureCliCredential",
            Self::AzureDeveloperCli => "AzureDeveloperCliCredential",
        }
    }

    /// Whether variables describe it, and nothing else does.
    pub(super) fn has_variables(self) -> bool {
        matches!(self, Self::Environment | Self::WorkloadIdentity)
    }

    /// Whether it is one of the developers' tools.
    pub(super) fn is_tool(self) -> bool {
        matches!(self, Self::AzureCli | Self::AzureDeveloperCli)
    }
}

/// The candidates that the environment leaves, in order.
pub(super) fn candidates(env: &ProcessEnv) -> Result<Vec<Candidate>, Error> {
    let Some(wanted) = env.get(VARIABLE) else {
        return Ok(Candidate::ALL.to_vec());
    };
    let wanted = wanted.trim();
    if wanted.eq_ignore_ascii_case("prod") {
        return Ok(Candidate::ALL[..DEPLOYED].to_vec());
    }
    if wanted.eq_ignore_ascii_case("dev") {
        return Ok(Candidate::ALL[DEPLOYED..].to_vec());
    }
    let chosen = Candidate::ALL.into_iter().find(|candidate| wanted.eq_ignore_ascii_case(candidate.name()));
    chosen.map(|candidate| vec![candidate]).ok_or_else(|| {
        let names = Candidate::ALL.map(Candidate::name).join("`, `");
        Error::config(VARIABLE, format_args!("must be one of `dev`, `prod`, `{names}`"))
    })
}

/// Whether the environment says which credentials to use.
pub(super) fn is_made(env: &ProcessEnv) -> bool {
    env.get(VARIABLE).is_some()
}

#[cfg(test)]
mod tests;
