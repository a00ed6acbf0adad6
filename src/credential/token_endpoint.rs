//! Microsoft Entra ID's token endpoint: the OAuth 2.0 client credentials grant, by a secret or by an assertion.

use super::{
    authority::{Authority, without_query},
    hints,
    http::{self, Client, HttpAnswer, Proxy},
    token_response::{self, Issuer},
};
use crate::{error::Error, secret::Secret, token::AccessToken};
use reqwest::Url;
use std::time::SystemTime;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `AADSTS700024`: the assertion came outside of its time of validity.
const ASSERTION_NOT_VALID_NOW: u32 = 700_024;

/// `AADSTS7000215`: the client secret is wrong.
const WRONG_SECRET: u32 = 7_000_215;

/// `AADSTS700016`: the tenant has no such application.
const UNKNOWN_APP: u32 = 700_016;

/// One application, at the token endpoint of one tenant.
pub(super) struct TokenEndpoint {
    client: Client,
    url: Url,
    client_id: String,
    scope: String,
    source: &'static str,
}

/// What proves that the application asks.
enum Proof<'a> {
    Secret(&'a Secret),
    Assertion(&'a Secret),
}

/// Whether there is whitespace around it, which neither secrets nor ids have.
fn is_padded(text: &str) -> bool {
    text.trim() != text
}

fn is_quoted(text: &str) -> bool {
    ['"', '\''].iter().any(|mark| text.len() > 1 && text.starts_with(*mark) && text.ends_with(*mark))
}

impl TokenEndpoint {
    /// `source` is what the tokens are said to come from.
    pub(super) fn new(
        authority: &Authority,
        client_id: &str,
        scope: &str,
        source: &'static str,
    ) -> Result<Self, Error> {
        if client_id.trim().is_empty() {
            return Err(Error::config("client_id", "is empty"));
        }
        let client = if authority.is_local() {
            http::client(Proxy::Never, false)?
        } else {
            http::client(Proxy::FromEnvironment, true)?
        };
        let url = authority.token_endpoint().clone();
        Ok(Self { client, url, client_id: client_id.to_owned(), scope: scope.to_owned(), source })
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What an assertion has to name as its audience, and what errors show.
    pub(super) fn url(&self) -> &str {
        without_query(&self.url)
    }

    pub(super) async fn token_for_secret(&self, secret: &Secret) -> Result<AccessToken, Error> {
        let answer = self.request(Proof::Secret(secret)).await?;
        self.token(&answer).map_err(|error| match error.aadsts() {
            // Entra ID says the same of any secret that is wrong: that it might be the id of one.
            Some(WRONG_SECRET) if is_padded(secret.expose()) => error.with_hint(hints::PADDED_SECRET),
            Some(WRONG_SECRET) if is_quoted(secret.expose()) => error.with_hint(hints::QUOTED_SECRET),
            _ => error,
        })
    }

    /// Exchanges an assertion for a token. One that came too late or too early, by a file that was just being renewed
    /// or by a clock that is wrong, is made again and exchanged at once, a single time; `fresh` is told what time it is
    /// by Entra ID's clock then.
    pub(super) async fn token_for_assertion<F, R>(&self, fresh: F) -> Result<AccessToken, Error>
    where
        F: Fn(Option<SystemTime>) -> R,
        R: Future<Output = Result<Secret, Error>>,
    {
        let assertion = fresh(None).await?;
        let answer = self.request(Proof::Assertion(&assertion)).await?;
        match self.token(&answer) {
            Err(error) if error.aadsts() == Some(ASSERTION_NOT_VALID_NOW) => {
                let assertion = fresh(answer.date).await?;
                let answer = self.request(Proof::Assertion(&assertion)).await?;
                self.token(&answer)
            }
            outcome => outcome,
        }
    }

    fn token(&self, answer: &HttpAnswer) -> Result<AccessToken, Error> {
        let token = token_response::token(answer, self.url(), Issuer::Entra).map_err(|error| match error.aadsts() {
            Some(UNKNOWN_APP) if is_padded(&self.client_id) => error.with_hint(hints::PADDED_CLIENT_ID),
            _ => error,
        })?;
        Ok(token.sourced_from(self.source))
    }

    async fn request(&self, proof: Proof<'_>) -> Result<HttpAnswer, Error> {
        let mut form = vec![
            ("client_id", self.client_id.as_str()),
            ("scope", self.scope.as_str()),
            ("grant_type", "client_credentials"),
        ];
        let secret = match proof {
            Proof::Secret(secret) => {
                form.push(("client_secret", secret.expose()));
                secret
            }
            Proof::Assertion(assertion) => {
                form.push(("client_assertion_type", JWT_BEARER));
                form.push(("client_assertion", assertion.expose()));
                assertion
            }
        };
        let request = self.client.post(self.url.clone()).form(&form);
        Ok(http::send(request, self.url()).await?.to(secret).of(&self.client_id))
    }
}
