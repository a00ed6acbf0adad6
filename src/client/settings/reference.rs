//! A secret in settings: not itself, but where it is.

use crate::secret::Secret;
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Where a secret is.
pub(super) enum Reference {
    Env(String),
    File(PathBuf),
    /// Something else stands there, of this kind: the secret, perhaps.
    Wrong(&'static str),
}

const EXPECTED: &str = "a reference to a secret, { env = \"NAME\" } or { file = \"path\" }";

/// No word of a variable's name is as long, and hardly any secret is shorter.
const LONGEST_WORD: usize = 16;

/// Secrets and keys of Azure's have 40 characters and more.
const LONGEST_NAME: usize = 40;

impl Reference {
    pub(super) fn of(given: &Value) -> Self {
        Self::Wrong(match given {
            Value::Object(fields) => {
                let mut fields = fields.iter();
                match (fields.next(), fields.next()) {
                    (Some((key, Value::String(name))), None) if key == "env" => return Self::Env(name.clone()),
                    (Some((key, Value::String(path))), None) if key == "file" => return Self::File(path.into()),
                    _ => "something else",
                }
            }
            Value::String(_) => "a text",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Array(_) => "a list",
            Value::Null => "nothing",
        })
    }

    pub(super) fn read(self) -> Result<Secret, String> {
        let (text, place) = match self {
            Self::Env(name) => (env::var(&name).ok(), shown_variable(&name)),
            Self::File(path) => (fs::read_to_string(&path).ok(), shown_file(&path)),
            Self::Wrong(what) => return Err(format!("there is {what} where there should be {EXPECTED}")),
        };
        let secret = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty());
        // The reason is left out: it may quote what the file has.
        secret.map(Secret::new).ok_or_else(|| format!("a secret is to be read from {place}, and is not there"))
    }
}

/// The variable, by its name if that looks like one. The secret itself may stand there, where a template was filled in
/// by mistake.
fn shown_variable(name: &str) -> String {
    let is_fit = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_name = !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_fit);
    if is_name && name.split('_').all(|word| word.len() < LONGEST_WORD) {
        return format!("the variable `{name}`");
    }
    "the variable that `env` names (not shown, because it may be the secret itself: the names of variables are short \
     words in capital letters)"
        .to_owned()
}

/// The same of a file.
fn shown_file(path: &Path) -> String {
    let is_path = path.is_absolute() || path.starts_with(".") || path.starts_with("..");
    if is_path && path.iter().all(|name| name.len() < LONGEST_NAME) {
        return format!("the file `{}`", path.display());
    }
    "the file that `file` names (not shown, because it may be the secret itself: paths begin with `/` or `./`)"
        .to_owned()
}
