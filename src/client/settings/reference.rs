//! A secret in settings: not itself, but where it is.

use crate::secret::Secret;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{env, fmt, fs, path::PathBuf};

/// Where a secret is.
pub(super) enum Reference {
    Env(String),
    File(PathBuf),
    /// Something else stands there, of this kind. That is told later: readers of TOML show the line of an error that is
    /// told while they read, and with it the secret.
    Wrong(&'static str),
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Reference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Reference, E> {
                Ok(Reference::Wrong("a truth value"))
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Reference, E> {
                Ok(Reference::Wrong("a text"))
            }

            fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Reference, E> {
                Ok(Reference::Wrong("bytes"))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Reference, E> {
                Ok(Reference::Wrong("a number"))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Reference, E> {
                Ok(Reference::Wrong("a number"))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Reference, E> {
                Ok(Reference::Wrong("a number"))
            }

            fn visit_unit<E: Error>(self) -> Result<Reference, E> {
                Ok(Reference::Wrong("nothing"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Reference, A::Error> {
                while values.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Reference::Wrong("a list"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reference, A::Error> {
                let mut found = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value = map.next_value::<Text>()?.0;
                    found.push(match (key.as_str(), value) {
                        ("env", Some(name)) => Reference::Env(name),
                        ("file", Some(path)) => Reference::File(path.into()),
                        _ => Reference::Wrong("something else"),
                    });
                }
                match found.pop() {
                    Some(reference) if found.is_empty() => Ok(reference),
                    _ => Ok(Reference::Wrong("something else")),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

const EXPECTED: &str = "a reference to a secret, { env = \"NAME\" } or { file = \"path\" }";

/// A text, or anything else.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            Text(String),
            Other(IgnoredAny),
        }
        Ok(Self(match Any::deserialize(deserializer)? {
            Any::Text(text) => Some(text),
            Any::Other(_) => None,
        }))
    }
}

impl Reference {
    pub(super) fn read(self) -> Result<Secret, String> {
        let (text, place) = match self {
            Self::Env(name) => (env::var(&name).ok(), format!("the variable `{name}`")),
            Self::File(path) => (fs::read_to_string(&path).ok(), format!("the file `{}`", path.display())),
            Self::Wrong(what) => return Err(format!("there is {what} where there should be {EXPECTED}")),
        };
        let secret = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty());
        // The reason is left out: it may quote what the file has.
        secret.map(Secret::new).ok_or_else(|| format!("a secret is to be read from {place}, and is not there"))
    }
}
