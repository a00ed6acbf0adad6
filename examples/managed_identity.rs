//! Connect from an Azure virtual machine with the identity that Azure gives to it.
//!
//! Needs `REDIS_HOST`; `REDIS_PORT` if it is not 10000, and `REDIS_CA_CERT` (a PEM file) if the system does not trust
//! it.

use entra_redis::{Config, Credential, EntraRedis, ManagedIdentity, Tls};
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
    let credential = Credential::managed_identity(ManagedIdentity::SystemAssigned);
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
