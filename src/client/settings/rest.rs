//! Fields that are none of the settings'.

use super::shapes::Time;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Them, and what stands there.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Rest(BTreeMap<String, Value>);

/// That there is one.
pub(super) struct Unknown {
    pub(super) told: String,
    /// Whether what stands there may be a secret.
    pub(super) may_be_secret: bool,
}

impl Rest {
    pub(super) fn check(&self) -> Result<(), Unknown> {
        let is_secret = |value: &Value| may_be_secret(value);
        // Of several, one that may be a secret decides when it is told.
        let unknown = self.0.iter().find(|(_, value)| is_secret(value)).or_else(|| self.0.iter().next());
        unknown.map_or(Ok(()), |(name, value)| {
            Err(Unknown { told: format!("{} is no setting", shown(name)), may_be_secret: is_secret(value) })
        })
    }
}

/// Any text may be one, unless it is a duration.
fn may_be_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => Time::parse(text).is_none(),
        Value::Array(values) => values.iter().any(may_be_secret),
        Value::Object(fields) => fields.values().any(may_be_secret),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The name of a field, if it looks like one.
pub(super) fn shown(name: &str) -> String {
    /// That of the longest setting, and some more.
    const LONGEST: usize = 40;
    let is_fit = |c: char| c.is_ascii_lowercase() || c == '_' || c == '-';
    if name.len() <= LONGEST && name.chars().all(is_fit) {
        format!("`{name}`")
    } else {
        "with this name (not shown, because it has not the form of one)".to_owned()
    }
}
