//! What to look at next, for the mistakes that people make most.

pub(super) use crate::error::FILE_MISSING;

pub(crate) const NOT_ON_AZURE: &str = "is this running on Azure, with a managed identity? elsewhere, use a service principal \
     (`AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET`), or sign in with `az login` and set \
     `AZURE_TOKEN_CREDENTIALS` to `dev`";

pub(crate) const NOT_IMDS: &str = "somebody else answers in the place of Azure's Instance Metadata Service: a proxy, \
     Docker Desktop, or another cloud's metadata service; on Azure, let requests to 169.254.169.254 bypass proxies; \
     elsewhere, use a service principal (`AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET`), or sign in with \
     `az login` and set `AZURE_TOKEN_CREDENTIALS` to `dev`";

pub(crate) const IDENTITY_NOT_ASSIGNED: &str = "assign the managed identity to this resource, and check the id that \
     selects it; without an id, the system-assigned identity must be switched on";

pub(crate) const SCOPE: &str = "check the scope: https://redis.azure.com/.default";

pub(crate) const KEY_GROUP: &str =
    "this process must be able to read the agent's challenge files: make its user a member of the group `himds`";

pub(crate) const NOT_A_PROVIDER: &str =
    "a proxy or a captive portal may stand between this machine and the identity provider";

pub(crate) const UNTRUSTED: &str = "the certificate that was shown is not one that this machine trusts: is there a \
     proxy that looks into TLS? its certificate authority must be among the operating system's";

pub(crate) const PADDED_SECRET: &str =
    "the client secret has whitespace around it, such as the newline that ends a file: remove it";

pub(crate) const QUOTED_SECRET: &str =
    "the client secret has quotation marks around it, as files of variables keep them in some places: remove them";

pub(crate) const PADDED_CLIENT_ID: &str =
    "the client id has whitespace around it, such as the newline that ends a file: remove it";

pub(crate) const NO_CREDENTIAL: &str = "set the AZURE_* variables of a service principal, run on Azure with a managed \
     identity, or sign in with `az login`";
