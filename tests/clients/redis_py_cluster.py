"""redis-py's cluster client with redis-entraid on a cluster of the emulator: to other clients, too, it is one.

`make test-clients` runs this, with what the emulator prints in the environment and the lifetime of its tokens, in seconds, as
the argument. The nodes cut connections whose token has expired: those that live three times as long have taken over new tokens.
"""

import os
import socket
import sys
import time

import redis
from msal import ConfidentialClientApplication
from redis.auth.token_manager import RetryPolicy, TokenManagerConfig
from redis_entraid.cred_provider import EntraIdCredentialsProvider
from redis_entraid.identity_provider import ServicePrincipalProvider

env = os.environ
lifetime = float(sys.argv[1])
env["REQUESTS_CA_BUNDLE"] = env["REDIS_CA_CERT"]
env["NO_PROXY"] = "localhost"

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
# redis-py puts its IP in place of this one name, and would verify certificates for that. Names of caches it leaves alone.
socket.gethostbyname = lambda name: name
client = redis.RedisCluster(
    host=env["REDIS_HOST"],
    port=int(env["REDIS_PORT"]),
    ssl=True,
    ssl_ca_certs=env["REDIS_CA_CERT"],
    credential_provider=provider,
    protocol=3,
    # The topology names the nodes by their IP, for which their certificate is not valid; as in Azure, it is for the host's name.
    address_remap=lambda address: (env["REDIS_HOST"], address[1]),
)

nodes = client.get_primaries()
assert len(nodes) >= 3, nodes
end = time.monotonic() + 3.5 * lifetime
count = 0
while time.monotonic() < end:
    count += 1
    for key in range(30):
        client.set(f"redis-py:{key}", count)
    values = client.mget_nonatomic([f"redis-py:{key}" for key in range(30)])
    assert {int(value) for value in values} == {count}, values
    time.sleep(0.05)
assert sum(client.dbsize(target_nodes=node) for node in client.get_primaries()) == 30
print(f"redis-py {redis.__version__}: {31 * count} commands through three rotations on {len(nodes)} nodes of a cluster")
os._exit(0)
