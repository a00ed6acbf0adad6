"""Azure's identity library for Python on the emulator: each kind of credential gets a token that Redis takes.

`make test-clients` runs this, with all that the emulator prints in the environment.
"""

import base64
import json
import os

import redis
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

env = os.environ
# For the token endpoint's certificate, whatever the machine has set.
env["REQUESTS_CA_BUNDLE"] = env["REDIS_CA_CERT"]
env["NO_PROXY"] = "localhost,127.0.0.1"

app_service = {name: env.pop(name) for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]}
ids = {"tenant_id": env["AZURE_TENANT_ID"], "client_id": env["AZURE_CLIENT_ID"]}
# It would ask Microsoft about a host that it does not know.
options = {"authority": env["AZURE_AUTHORITY_HOST"], "disable_instance_discovery": True}
certificate = {"certificate_path": env["AZURE_CLIENT_CERTIFICATE_PATH"]}


def on_app_service():
    env.update(app_service)
    return ManagedIdentityCredential()


credentials = {
    "secret": lambda: ClientSecretCredential(client_secret=env["AZURE_CLIENT_SECRET"], **ids, **options),
    "secret from the environment": lambda: EnvironmentCredential(**options),
    "certificate": lambda: CertificateCredential(**certificate, **ids, **options),
    "certificate with its chain": lambda: CertificateCredential(
        **certificate, send_certificate_chain=True, **ids, **options
    ),
    "workload identity": lambda: WorkloadIdentityCredential(
        token_file_path=env["AZURE_FEDERATED_TOKEN_FILE"], **ids, **options
    ),
    "managed identity by IMDS": ManagedIdentityCredential,
    "managed identity on App Service": on_app_service,
}


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


for name, make in credentials.items():
    credential = make()
    # A second one, as after a refresh: with the same assertion, for example.
    for extra in [{}, {"enable_cae": True}]:
        token = credential.get_token("https://redis.azure.com/.default", **extra).token
        client = redis.Redis(
            host=env["REDIS_HOST"],
            port=int(env["REDIS_PORT"]),
            ssl=True,
            ssl_ca_certs=env["REDIS_CA_CERT"],
            username=claims(token)["oid"],
            password=token,
        )
        assert client.ping()
    print(f"azure-identity for Python, {name}: Redis takes its token")
