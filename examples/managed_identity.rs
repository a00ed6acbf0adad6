//! Connect from an Azure virtual machine with the identity that Azure gives to it.
//!
//! Needs `REDIS_HOST`; `REDIS_PORT` if it is not 10000, and `REDIS_CA_CERT` (a PEM file) if the system does not trust
//! it.

use entra_redis::{Config, Credential, EntraRedis, ManagedIdentity, Tls};
use std::{env::var, error::Error};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let credential = Credential::managed_identity(ManagedIdentity::SystemAssigned);
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
