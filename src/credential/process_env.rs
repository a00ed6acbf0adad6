//! What a credential finds around it: environment variables, files, programs and the clock, behind one small seam, so
//! that every kind is tested on data.

use crate::error::Error;
use std::{collections::HashMap, env, ffi::OsString, path::PathBuf, sync::Arc, time::SystemTime};

#[derive(Clone)]
pub(super) struct ProcessEnv {
    pub(super) variables: Arc<HashMap<String, String>>,
    /// Where programs are looked for: the form of `PATH`.
    pub(super) path: Option<OsString>,
    /// The only directory that the challenge files of Azure Arc may lie in.
    pub(super) arc_tokens: PathBuf,
    /// The agent of Azure Arc: where it is installed, the machine is one of Arc's.
    pub(super) himds: PathBuf,
    pub(super) clock: fn() -> SystemTime,
}

impl ProcessEnv {
    pub(super) fn of_process() -> Self {
        // Those that are not Unicode are passed over: `env::vars` would panic.
        let unicode =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let (arc_tokens, himds) = arc_paths();
        Self {
            variables: Arc::new(unicode.collect()),
            path: env::var_os("PATH"),
            arc_tokens,
            himds,
            clock: SystemTime::now,
        }
    }

    /// Nothing but these variables.
    #[cfg(test)]
    pub(super) fn of_pairs(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            variables: Arc::new(pairs.iter().map(owned).collect()),
            path: None,
            arc_tokens: PathBuf::from("/no/such/directory"),
            himds: PathBuf::from("/no/such/himds"),
            clock: SystemTime::now,
        }
    }

    /// The variable's value; an empty one counts as unset.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The values of all these variables, or an error that names those that are missing for `purpose`.
    pub(super) fn all<const N: usize>(&self, names: [&str; N], purpose: &str) -> Result<[String; N], Error> {
        let values = names.map(|name| self.get(name));
        let missing: Vec<_> =
            names.iter().zip(&values).filter_map(|(name, value)| value.is_none().then_some(*name)).collect();
        if missing.is_empty() {
            return Ok(values.map(Option::unwrap_or_default));
        }
        Err(Error::config(&missing.join("`, `"), format_args!("is missing for {purpose}")))
    }
}

/// Where Azure Arc's agent keeps its challenge files, and where it is itself.
fn arc_paths() -> (PathBuf, PathBuf) {
    if cfg!(windows) {
        let folder = |variable: &str, usual: &str| {
            let base = env::var_os(variable).map_or_else(|| PathBuf::from(usual), PathBuf::from);
            base.join("AzureConnectedMachineAgent")
        };
        (
            folder("ProgramData", r"C:\ProgramData").join("Tokens"),
            folder("ProgramFiles", r"C:\Program Files").join("himds.exe"),
        )
    } else {
        (PathBuf::from("/var/opt/azcmagent/tokens"), PathBuf::from("/opt/azcmagent/bin/himds"))
    }
}

#[cfg(test)]
mod tests;
