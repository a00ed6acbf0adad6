//! Connect with an app registration and its client secret.
//!
//! Needs `REDIS_HOST`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` and `AZURE_TENANT_ID`; `REDIS_PORT` if it is not 10000,
//! `AZURE_AUTHORITY_HOST` if it is not the public cloud, and `REDIS_CA_CERT` (a PEM file) if the system does not trust
//! it.

use entra_redis::{Config, Credential, EntraRedis, Tls};
use std::{env::var, error::Error};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut credential =
        Credential::service_principal(var("AZURE_CLIENT_ID")?, var("AZURE_CLIENT_SECRET")?, var("AZURE_TENANT_ID")?);
    if let Ok(host) = var("AZURE_AUTHORITY_HOST") {
        credential = credential.authority_host(host);
    }
    let mut config = Config::new(credential);
    if let Ok(file) = var("REDIS_CA_CERT") {
        config = config.tls(Tls::new().ca_file(file));
    }
    let port = var("REDIS_PORT").map_or(Ok(10000), |port| port.parse())?;

    let redis = EntraRedis::connect(&var("REDIS_HOST")?, port, config).await?;

    let mut con = redis.clone();
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut con).await?;
    println!("The database size is: {size}");
    Ok(())
}
