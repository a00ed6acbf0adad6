//! Connect with the identity that Azure gives to a virtual machine, a web app or another of its services.
//!
//! The cache is that of `REDIS_HOST`; `REDIS_PORT` is its port if that is not 10000, and `REDIS_CA_CERT` a PEM file
//! with the certificate authority if the system does not trust it.

use entra_redis::{Config, Credential, EntraRedis, ManagedIdentity};
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Of a user-assigned one: `ManagedIdentity::UserAssignedClientId("<CLIENT_ID>".to_owned())`.
    let credential = Credential::managed_identity(ManagedIdentity::SystemAssigned);
    let redis = EntraRedis::open(Config::new(credential).endpoint_from_env()).await?;

    let mut con = redis.clone();
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut con).await?;
    println!("The database size is: {size}");
    redis.shutdown().await;
    Ok(())
}
