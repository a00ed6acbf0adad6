//! Environment variables behind a small seam, so that they are tested on data.

use crate::{Error, Secret};
use std::collections::HashMap;

pub(super) struct Environment(HashMap<String, String>);

/// Client id, client secret, tenant id.
type ServicePrincipal = (String, Secret, String);

impl Environment {
    pub(super) fn of_process() -> Self {
        // Variables that are not Unicode are nobody's settings here, and must not panic as `env::vars` does.
        let unicode =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(unicode.collect())
    }

    #[cfg(test)]
    pub(super) fn of_pairs(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self(pairs.iter().map(owned).collect())
    }

    /// The variable's value; an empty one counts as unset.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// A complete service principal; none if nothing hints at one; an error if it is there in part.
    ///
    /// `AZURE_CLIENT_ID` alone is no hint: with managed identities it selects a user-assigned one.
    pub(super) fn service_principal(&self) -> Result<Option<ServicePrincipal>, Error> {
        let names = ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"];
        match names.map(|name| self.get(name)) {
            [Some(id), Some(secret), Some(tenant)] => Ok(Some((id, Secret::new(secret), tenant))),
            [_, None, None] => Ok(None),
            found => {
                let missing: Vec<_> =
                    names.iter().zip(&found).filter_map(|(name, value)| value.is_none().then_some(*name)).collect();
                let problem = "is missing for a service principal (unset the others to use the managed identity)";
                Err(Error::config(&missing.join("`, `"), problem))
            }
        }
    }
}
