//! The names of what can be wrong. They are stable: scripts compare them, and `src/guide/doctor.md` has a row for each.

/// The causes, each with the name that people and scripts are told.
macro_rules! causes {
    ($($cause:ident => $name:literal,)+) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Cause {
            $($cause,)+
        }

        impl Cause {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$cause,)+];

            /// Its stable name.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$cause => $name,)+
                }
            }
        }
    };
}

causes! {
    // The settings.
    ClientIdMalformed => "client_id_malformed",
    CredentialIncomplete => "credential_incomplete",
    HostMissing => "host_missing",
    HostMalformed => "host_malformed",
    AccessKeyGiven => "access_key_given",
    PortMalformed => "port_malformed",
    SettingsContradict => "settings_contradict",
    UrlMalformed => "url_malformed",
    UrlWithoutTls => "url_without_tls",

    // The token.
    SecretWrong => "secret_wrong",
    SecretExpired => "secret_expired",
    AppUnknown => "app_unknown",
    AppNotInTenant => "app_not_in_tenant",
    AppDisabled => "app_disabled",
    TenantUnknown => "tenant_unknown",
    RedisPrincipalMissing => "redis_principal_missing",
    RedisPermissionMissing => "redis_permission_missing",
    GuestInOtherTenant => "guest_in_other_tenant",
    CertificateNotRegistered => "certificate_not_registered",
    FederationMismatch => "federation_mismatch",
    TokenFileMissing => "token_file_missing",
    TokenFileOld => "token_file_old",
    CertificateFileMissing => "certificate_file_missing",
    IdentityNotAssigned => "identity_not_assigned",
    ImdsUnreachable => "imds_unreachable",
    ImdsAnsweredByOther => "imds_answered_by_other",
    ConditionalAccess => "conditional_access",
    ToolNotInstalled => "tool_not_installed",
    ToolNotSignedIn => "tool_not_signed_in",
    NoCredential => "no_credential",
    CredentialRefused => "credential_refused",
    TooManyRequests => "too_many_requests",
    IdentityUnreachable => "identity_unreachable",
    IdentityOutOfOrder => "identity_out_of_order",
    IdentityAnsweredByOther => "identity_answered_by_other",
    IdentityTlsIntercepted => "identity_tls_intercepted",
    TokenUnusable => "token_unusable",
    NoToken => "no_token",
    ObjectIdMissing => "object_id_missing",
    AudienceWrong => "audience_wrong",
    TokenShortLived => "token_short_lived",
    ClockOff => "clock_off",

    // DNS.
    DnsSilent => "dns_silent",
    DnsUnavailable => "dns_unavailable",
    NameNotFound => "name_not_found",
    PrivateLinkName => "private_link_name",

    // TCP.
    PortWrong => "port_wrong",
    PortClosed => "port_closed",
    PortFiltered => "port_filtered",
    NoRoute => "no_route",
    AddressUnreachable => "address_unreachable",

    // TLS.
    PlainTextPort => "plain_text_port",
    NotTls => "not_tls",
    TlsRefused => "tls_refused",
    TlsTooOld => "tls_too_old",
    TlsFailed => "tls_failed",
    TlsSilent => "tls_silent",
    TlsSettingsWrong => "tls_settings_wrong",
    CaFileUnusable => "ca_file_unusable",
    TrustRootsMissing => "trust_roots_missing",
    CaMissing => "ca_missing",
    TlsIntercepted => "tls_intercepted",
    CertificateExpired => "certificate_expired",
    CertificateNotYetValid => "certificate_not_yet_valid",
    CertificateNameWrong => "certificate_name_wrong",
    CertificateInvalid => "certificate_invalid",
    CertificateEndsSoon => "certificate_ends_soon",
    ConnectionReset => "connection_reset",
    ConnectionClosed => "connection_closed",
    MaxClients => "max_clients",

    // `HELLO` and `AUTH`.
    AssignmentMissing => "assignment_missing",
    UserNameIsClientId => "user_name_is_client_id",
    UserNameIsGroup => "user_name_is_group",
    UserNameIsDefault => "user_name_is_default",
    UserNameWrong => "user_name_wrong",
    AccessDenied => "access_denied",
    AuthRefused => "auth_refused",
    AuthSilent => "auth_silent",
    AuthSlow => "auth_slow",
    AuthenticationOff => "authentication_off",
    ServerNotReady => "server_not_ready",
    Resp2Only => "resp2_only",
    NotRedis => "not_redis",

    // The cluster policy and its nodes.
    TopologySilent => "topology_silent",
    TopologyForbidden => "topology_forbidden",
    ClusterUnexpected => "cluster_unexpected",
    ClusterMissing => "cluster_missing",
    SlotsUnserved => "slots_unserved",
    NodePortsClosed => "node_ports_closed",

    // Commands.
    KeysLimited => "keys_limited",
    AccessReadOnly => "access_read_only",
    CommandsLimited => "commands_limited",
    MemoryFull => "memory_full",
    ServerIsReplica => "server_is_replica",
    CommandsFail => "commands_fail",
    NoSlotsHere => "no_slots_here",
    PingRefused => "ping_refused",
    ConnectionLost => "connection_lost",
    LatencyHigh => "latency_high",

    // The second `AUTH`.
    ReauthRefused => "reauth_refused",
    ReauthEndsConnection => "reauth_ends_connection",
    ReauthSilent => "reauth_silent",
}

#[cfg(test)]
mod tests;
