//! Connect with an app registration and its client secret.
//!
//! Needs `REDIS_HOST`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` and `AZURE_TENANT_ID`; `REDIS_PORT` if it is not 10000,
//! `AZURE_AUTHORITY_HOST` if it is not the public cloud, and `REDIS_CA_CERT` (a PEM file) if the system does not trust
//! it.

use entra_redis::{Config, Credential, EntraRedis, Tls};
use std::{env::var, error::Error, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut credential = Credential::service_principal(
        required("AZURE_CLIENT_ID")?,
        required("AZURE_CLIENT_SECRET")?,
        required("AZURE_TENANT_ID")?,
    );
    if let Ok(host) = var("AZURE_AUTHORITY_HOST") {
        credential = credential.authority_host(host);
    }
    let mut config = Config::new(credential);
    if let Ok(file) = var("REDIS_CA_CERT") {
        config = config.tls(Tls::new().ca_file(file));
    }

    let redis = EntraRedis::connect(&required("REDIS_HOST")?, port()?, config).await?;

    let mut con = redis.clone();
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut con).await?;
    println!("The database size is: {size}");
    Ok(())
}

/// The variable's value, or an error that names it.
fn required(name: &str) -> Result<String, String> {
    var(name).map_err(|_| format!("the environment variable {name} is not set"))
}

fn port() -> Result<u16, String> {
    let Ok(port) = var("REDIS_PORT") else {
        return Ok(10000);
    };
    port.parse().map_err(|_| format!("the environment variable REDIS_PORT is no port: {port}"))
}
