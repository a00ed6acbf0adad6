//! What a server says that has seen a secret must not show it, in whatever form the server gives it back.

use crate::Secret;
use reqwest::Url;
use serde_json::Value;

/// `text` with `secret` blanked: as it is, as a form or a query has it, and as JSON in a string has it.
pub(super) fn blank(text: &str, secret: &Secret) -> String {
    // The longest first: what is left of a form would be blanked by nothing.
    let mut blanked = in_json(secret).scrub(text);
    for form in in_form(secret) {
        blanked = form.scrub(&blanked);
    }
    secret.scrub(&blanked)
}

/// With `+` for a space, and with `%20`.
fn in_form(secret: &Secret) -> [Secret; 2] {
    let mut url = Url::parse("http://form").expect("a constant URL");
    url.query_pairs_mut().append_key_only(secret.expose());
    let query = Secret::new(url.query().unwrap_or_default());
    let spaces = Secret::new(query.expose().replace('+', "%20"));
    [query, spaces]
}

fn in_json(secret: &Secret) -> Secret {
    let quoted = Value::from(secret.expose()).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Secret::new(inner.unwrap_or(&quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_blanked_in_every_form() {
        let secret = Secret::new("s3~cr +3t\"\\&");
        for form in ["s3~cr +3t\"\\&", "s3%7Ecr+%2B3t%22%5C%26", "s3%7Ecr%20%2B3t%22%5C%26", "s3~cr +3t\\\"\\\\&"] {
            assert_eq!(blank(&format!("not {form}, please"), &secret), "not [redacted], please", "{form}");
        }
        assert_eq!(blank("unchanged", &Secret::new("")), "unchanged");
    }
}
