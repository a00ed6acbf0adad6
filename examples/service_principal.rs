//! Connect with an app registration and its client secret.
//!
//! Needs `REDIS_HOST`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` and `AZURE_TENANT_ID`; `REDIS_PORT` if it is not 10000.

use entra_redis::{Config, Credential, EntraRedis};
use std::{env::var, error::Error};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let credential =
        Credential::service_principal(var("AZURE_CLIENT_ID")?, var("AZURE_CLIENT_SECRET")?, var("AZURE_TENANT_ID")?);
    let port = var("REDIS_PORT").map_or(Ok(10000), |port| port.parse())?;

    let redis = EntraRedis::connect(&var("REDIS_HOST")?, port, Config::new(credential)).await?;

    let mut con = redis.clone();
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut con).await?;
    println!("The database size is: {size}");
    Ok(())
}
