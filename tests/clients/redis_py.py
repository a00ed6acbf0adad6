"""What redis-py's clients share on the emulator: its environment, and redis-entraid's provider of tokens."""

import os
import sys

from msal import ConfidentialClientApplication
from redis.auth.token_manager import RetryPolicy, TokenManagerConfig
from redis_entraid.cred_provider import EntraIdCredentialsProvider
from redis_entraid.identity_provider import ServicePrincipalProvider

env = os.environ
lifetime = float(sys.argv[1])
# For the token endpoint's certificate, whatever the machine has set.
env["REQUESTS_CA_BUNDLE"] = env["REDIS_CA_CERT"]
env["NO_PROXY"] = "localhost"


def settings():
    """Where the emulator is, and who may use it; the same for all of redis-py's clients."""
    # `create_from_service_principal` knows login.microsoftonline.com alone; these are its parts. MSAL accepts only https, and
    # asks Microsoft about hosts that it does not know unless it is told not to.
    authority = env["AZURE_AUTHORITY_HOST"].replace("http://127.0.0.1", "https://localhost")
    app = ConfidentialClientApplication(
        env["AZURE_CLIENT_ID"],
        client_credential=env["AZURE_CLIENT_SECRET"],
        authority=f"{authority}/{env['AZURE_TENANT_ID']}",
        instance_discovery=False,
    )
    provider = EntraIdCredentialsProvider(
        ServicePrincipalProvider(app, ["https://redis.azure.com/.default"]),
        TokenManagerConfig(
            expiration_refresh_ratio=0.6,
            lower_refresh_bound_millis=0,
            token_request_execution_timeout_in_ms=10_000,
            retry_policy=RetryPolicy(max_attempts=5, delay_in_ms=50),
        ),
    )
    return {
        "host": env["REDIS_HOST"],
        "port": int(env["REDIS_PORT"]),
        "ssl": True,
        "ssl_ca_certs": env["REDIS_CA_CERT"],
        "credential_provider": provider,
        "protocol": 3,
    }
