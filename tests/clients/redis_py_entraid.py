"""redis-py with redis-entraid on the emulator: to other clients, too, it is what it says it is.

`make test-clients` runs this, with what the emulator prints in the environment and the lifetime of its tokens, in seconds, as
the argument. The emulator cuts a connection whose token has expired: one that lives three times as long has taken over new
tokens.
"""

import os
import sys
import time

import redis
from msal import ConfidentialClientApplication
from redis.auth.token_manager import RetryPolicy, TokenManagerConfig
from redis_entraid.cred_provider import EntraIdCredentialsProvider
from redis_entraid.identity_provider import ServicePrincipalProvider

env = os.environ
lifetime = float(sys.argv[1])
# For the token endpoint's certificate, whatever the machine has set.
env["REQUESTS_CA_BUNDLE"] = env["REDIS_CA_CERT"]
env["NO_PROXY"] = "localhost"

# `create_from_service_principal` knows login.microsoftonline.com alone; these are its parts. MSAL accepts only https, and asks
# Microsoft about hosts that it does not know unless it is told not to.
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
client = redis.Redis(
    host=env["REDIS_HOST"],
    port=int(env["REDIS_PORT"]),
    ssl=True,
    ssl_ca_certs=env["REDIS_CA_CERT"],
    credential_provider=provider,
    protocol=3,
    # A command that fails is to be seen, not to be sent again.
    retry=None,
)

end = time.monotonic() + 3.5 * lifetime
count = 0
first = client.client_id()
while time.monotonic() < end:
    count += 1
    client.set("redis-py", count)
    assert int(client.get("redis-py")) == count
    time.sleep(0.02)
assert client.client_id() == first, "the connection did not live on"
print(f"redis-py {redis.__version__}: {2 * count} commands through three rotations on one connection")
# Its token manager has a thread of its own.
os._exit(0)
