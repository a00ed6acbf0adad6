//! The bodies that the identity provider and the endpoints for managed identities answer with.

use super::{
    expires_on::ExpiresOn,
    tokens::{TENANT_ID, TokenClaims},
};
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) type Answer = Response<Full<Bytes>>;

/// Microsoft's correlation id, in every refusal that has one.
pub(super) const CORRELATION_ID: &str = "7e57e57e-0000-4000-8000-00000000cccc";

/// The form of a token answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    TokenEndpoint,
    /// The Instance Metadata Service, and Azure Arc and Cloud Shell after it.
    Imds,
    /// App Service, and Azure ML after it.
    AppService,
    ServiceFabric,
}

/// A token answer; without `exp`, one that does not say when the token expires.
pub(super) fn success(form: Form, token: &str, claims: &TokenClaims, exp: Option<u64>, format: ExpiresOn) -> Answer {
    let now = claims.now();
    let resource = claims.resource();
    // Rounded up, as `exp` is: who adds it to the time of the answer must not come out before that.
    let seconds = exp.map(|exp| {
        let left = Duration::from_secs(exp).saturating_sub(now);
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    });
    let expires_on = exp.map(|exp| match (form, format) {
        (Form::ServiceFabric, ExpiresOn::AsDocumented) => json!(exp),
        _ => format.value(exp),
    });
    let mut body = match form {
        Form::TokenEndpoint => json!({
            "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
        }),
        // All values are strings here.
        Form::Imds => json!({
            "access_token": token, "token_type": "Bearer", "resource": resource, "not_before": now.as_secs().to_string(),
            "expires_in": seconds.map(|seconds| format.lifetime(seconds)), "expires_on": expires_on,
        }),
        Form::AppService => json!({
            "access_token": token, "token_type": "Bearer", "resource": resource, "client_id": claims.client_id(),
            "expires_on": expires_on,
        }),
        Form::ServiceFabric => json!({
            "access_token": token, "token_type": "Bearer", "resource": resource, "expires_on": expires_on,
        }),
    };
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    json(200, &body)
}

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    body: Value,
    challenge: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self { status, body, challenge: None }
    }

    /// In the form of the Instance Metadata Service, and Azure Arc after it.
    pub(super) fn imds(status: u16, error: &str, description: &str) -> Self {
        Self::new(status, json!({"error": error, "error_description": description}))
    }

    /// In the form of App Service, and Azure ML after it.
    pub(super) fn app_service(status: u16, message: &str) -> Self {
        Self::new(status, json!({"statusCode": status, "message": message}))
    }

    /// In the form of Service Fabric.
    pub(super) fn service_fabric(status: u16, code: &str, message: &str) -> Self {
        Self::new(status, json!({"error": {"correlationId": CORRELATION_ID, "code": code, "message": message}}))
    }

    /// In the form of Cloud Shell.
    pub(super) fn cloud_shell(code: &str, message: &str) -> Self {
        Self::new(400, json!({"error": {"code": code, "message": message}}))
    }

    /// Azure Arc's demand for the content of a file.
    pub(super) fn challenge(path: &str) -> Self {
        let refused = Self::imds(401, "unauthorized_client", "Missing Basic Authorization header");
        Self { challenge: Some(format!("Basic realm={path}")), ..refused }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) fn into_answer(self) -> Answer {
        let mut answer = json(self.status, &self.body);
        // A path that cannot stand in a header is no use to a client either.
        if let Some(Ok(challenge)) = self.challenge.map(|text| HeaderValue::from_bytes(text.as_bytes())) {
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

#[cfg(test)]
impl Refusal {
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn body(&self) -> &Value {
        &self.body
    }

    /// The AADSTS number, if it is Microsoft Entra ID that says no.
    pub(super) fn code(&self) -> Option<u64> {
        self.body["error_codes"][0].as_u64()
    }

    pub(super) fn realm(&self) -> Option<&str> {
        self.challenge.as_deref()?.strip_prefix("Basic realm=")
    }
}

/// What clients that look at their authority before they use it ask for.
pub(super) fn openid_configuration(base: &str, tenant: &str) -> Value {
    json!({
        "issuer": format!("{base}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "device_authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
        "end_session_endpoint": format!("{base}/{tenant}/oauth2/v2.0/logout"),
        "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
        "response_types_supported": ["code", "id_token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
    })
}

/// Which host names are the same cloud; `host` is one of its own.
pub(super) fn instance_discovery(base: &str, host: Option<&str>) -> Value {
    let names = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"];
    let public = json!({"preferred_network": names[0], "preferred_cache": names[1], "aliases": names});
    let own = host.map(|host| json!({"preferred_network": host, "preferred_cache": host, "aliases": [host]}));
    let metadata: Vec<_> = [public].into_iter().chain(own).collect();
    json!({
        "tenant_discovery_endpoint": format!("{base}/{TENANT_ID}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": metadata,
    })
}

pub(super) fn json(status: u16, body: &Value) -> Answer {
    raw(status, "application/json; charset=utf-8", body.to_string())
}

pub(super) fn raw(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests;
