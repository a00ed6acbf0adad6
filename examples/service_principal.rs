//! Connect with an app registration and its client secret.
//!
//! Needs `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` and `AZURE_TENANT_ID`. The cache is that of `REDIS_HOST`;
//! `REDIS_PORT` is its port if that is not 10000, and `REDIS_CA_CERT` a PEM file with the certificate authority if the
//! system does not trust it. `AZURE_AUTHORITY_HOST` is for another cloud than the public one.

use entra_redis::{Config, Credential, EntraRedis, Error, ErrorKind};
use std::env::var;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut credential = Credential::service_principal(
        required("AZURE_CLIENT_ID")?,
        required("AZURE_CLIENT_SECRET")?,
        required("AZURE_TENANT_ID")?,
    );
    if let Ok(host) = var("AZURE_AUTHORITY_HOST") {
        credential = credential.authority_host(host);
    }
    let redis = EntraRedis::open(Config::new(credential).endpoint_from_env()).await?;

    let mut con = redis.clone();
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut con).await?;
    println!("The database size is: {size}");
    redis.shutdown().await;
    Ok(())
}

/// The variable's value, or an error that names it.
fn required(name: &str) -> Result<String, Error> {
    var(name).map_err(|_| Error::new(ErrorKind::Configuration, format!("the variable {name} is not set")))
}
