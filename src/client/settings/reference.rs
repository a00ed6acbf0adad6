//! A secret in settings: not itself, but where it is.

use crate::secret::Secret;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};
use std::{env, fmt, fs, path::PathBuf};

/// Where a secret is.
pub(super) enum Reference {
    Env(String),
    File(PathBuf),
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            env: Option<String>,
            file: Option<PathBuf>,
        }
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Reference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reference to a secret, { env = \"NAME\" } or { file = \"path\" }")
            }

            // Without these, the error would quote what was written in the reference's place: the secret.
            fn visit_str<E: Error>(self, _: &str) -> Result<Reference, E> {
                Err(E::invalid_type(Unexpected::Other("a text"), &self))
            }

            fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Reference, E> {
                Err(E::invalid_type(Unexpected::Other("bytes"), &self))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Reference, E> {
                Err(E::invalid_type(Unexpected::Other("a number"), &self))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Reference, E> {
                Err(E::invalid_type(Unexpected::Other("a number"), &self))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Reference, E> {
                Err(E::invalid_type(Unexpected::Other("a number"), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Reference, A::Error> {
                match Fields::deserialize(MapAccessDeserializer::new(map))? {
                    Fields { env: Some(name), file: None } => Ok(Reference::Env(name)),
                    Fields { env: None, file: Some(path) } => Ok(Reference::File(path)),
                    _ => Err(A::Error::custom("a reference to a secret has either `env` or `file`")),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Reference {
    pub(super) fn read(self) -> Result<Secret, String> {
        let (text, place) = match self {
            Self::Env(name) => (env::var(&name).ok(), format!("the variable `{name}`")),
            Self::File(path) => (fs::read_to_string(&path).ok(), format!("the file `{}`", path.display())),
        };
        let secret = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty());
        // The reason is left out: it may quote what the file has.
        secret.map(Secret::new).ok_or_else(|| format!("a secret is to be read from {place}, and is not there"))
    }
}
