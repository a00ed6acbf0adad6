// Azure's identity library for Node and @redis/entraid on the emulator: each kind of credential gets a token that Redis
// takes, and a connection lives on through rotations.
//
// `make test-clients` runs this, with all that the emulator prints in the environment and the lifetime of its tokens,
// in seconds, as the argument. The emulator's CA has to be in NODE_EXTRA_CA_CERTS.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
    ClientCertificateCredential,
    ClientSecretCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
} from "@azure/identity";
import { createClient } from "@redis/client";
import { EntraIdCredentialsProviderFactory } from "@redis/entraid";

const env = process.env;
const lifetime = Number(process.argv[2]);
const scope = "https://redis.azure.com/.default";
const { AZURE_TENANT_ID: tenant, AZURE_CLIENT_ID: client } = env;
// It takes https alone, and would ask Microsoft about a host that it does not know.
const options = { authorityHost: env.AZURE_AUTHORITY_HOST, disableInstanceDiscovery: true };
const certificate = { certificatePath: env.AZURE_CLIENT_CERTIFICATE_PATH };
const appService = { IDENTITY_ENDPOINT: env.IDENTITY_ENDPOINT, IDENTITY_HEADER: env.IDENTITY_HEADER };
Object.keys(appService).forEach((name) => delete env[name]);

function connection(settings) {
    const socket = { host: env.REDIS_HOST, port: Number(env.REDIS_PORT), tls: true, ca: readFileSync(env.REDIS_CA_CERT) };
    return createClient({ socket: { ...socket, reconnectStrategy: false }, RESP: 3, ...settings });
}

const secret = () => new ClientSecretCredential(tenant, client, env.AZURE_CLIENT_SECRET, options);
const credentials = {
    secret,
    "secret from the environment": () => new EnvironmentCredential(options),
    certificate: () => new ClientCertificateCredential(tenant, client, certificate, options),
    "certificate with its chain": () =>
        new ClientCertificateCredential(tenant, client, certificate, { ...options, sendCertificateChain: true }),
    "workload identity": () =>
        new WorkloadIdentityCredential({
            tenantId: tenant,
            clientId: client,
            tokenFilePath: env.AZURE_FEDERATED_TOKEN_FILE,
            ...options,
        }),
    "managed identity by IMDS": () => new ManagedIdentityCredential(),
    "managed identity on App Service": () => {
        Object.assign(env, appService);
        return new ManagedIdentityCredential();
    },
};

for (const [name, make] of Object.entries(credentials)) {
    const credential = make();
    // A second one, as after a refresh: with the same assertion, for example.
    for (const extra of [{}, { enableCae: true }]) {
        const { token } = await credential.getToken(scope, extra);
        const { oid } = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
        const redis = await connection({ username: oid, password: token }).connect();
        if ((await redis.ping()) !== "PONG") throw new Error("no PONG");
        redis.destroy();
    }
    console.log(`@azure/identity, ${name}: Redis takes its token`);
}

const failed = [];
const provider = EntraIdCredentialsProviderFactory.createForDefaultAzureCredential({
    credential: secret(),
    scopes: scope,
    tokenManagerConfig: { expirationRefreshRatio: 0.6 },
    onReAuthenticationError: (error) => failed.push(error),
    onRetryableError: (error) => failed.push(error),
});
const redis = await connection({ credentialsProvider: provider }).on("error", (error) => failed.push(error)).connect();
const id = await redis.sendCommand(["CLIENT", "ID"]);
let commands = 0;
for (const end = Date.now() + 3500 * lifetime; Date.now() < end; commands += 2) {
    await redis.set("node", commands);
    if ((await redis.get("node")) !== String(commands)) throw new Error("a wrong value");
    await sleep(20);
}
if ((await redis.sendCommand(["CLIENT", "ID"])) !== id) throw new Error("the connection did not live on");
if (failed.length > 0) throw failed[0];
console.log(`@redis/entraid: ${commands} commands through three rotations on one connection`);
process.exit(0);
