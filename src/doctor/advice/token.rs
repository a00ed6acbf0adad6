//! What to do about a token that cannot be had.

use super::{Advice, SET_CLOCK};
use crate::doctor::cause::Cause;

/// The application id of Azure Cache for Redis and Azure Managed Redis in every tenant.
const REDIS_APP: &str = "acca5fbb-b7e4-4009-81f1-37e38fd66d78";

impl Advice {
    /// What is wrong with a token request, by its cause.
    pub(in crate::doctor) fn for_token(&self, cause: Cause) -> String {
        let client = self.client_id.as_deref().unwrap_or("<CLIENT_ID>");
        let tenant = self.tenant_id.as_deref().unwrap_or("<TENANT_ID>");
        match cause {
            Cause::SecretWrong | Cause::SecretExpired => format!(
                "export AZURE_CLIENT_SECRET=\"$(az ad app credential reset --id {client} --append --query password \
                 --output tsv)\""
            ),
            Cause::AppUnknown | Cause::AppDisabled => {
                format!("az ad app show --id {client} --query '[appId,displayName]'")
            }
            Cause::AppNotInTenant => format!("az ad sp create --id {client}"),
            Cause::TenantUnknown => {
                "export AZURE_TENANT_ID=\"$(az account show --query tenantId --output tsv)\"".to_owned()
            }
            Cause::RedisPrincipalMissing => format!("az ad sp create --id {REDIS_APP}"),
            Cause::RedisPermissionMissing => {
                format!("az ad app permission grant --id {client} --api {REDIS_APP} --scope user_impersonation")
            }
            Cause::GuestInOtherTenant => {
                format!("az login --tenant {tenant} --scope https://redis.azure.com/.default")
            }
            Cause::CertificateNotRegistered => {
                format!("az ad app credential reset --id {client} --append --cert @\"$AZURE_CLIENT_CERTIFICATE_PATH\"")
            }
            Cause::FederationMismatch => format!("az ad app federated-credential list --id {client}"),
            Cause::TokenFileMissing => "kubectl get pod \"$(hostname)\" --output \
                                     jsonpath='{.metadata.labels.azure\\.workload\\.identity/use}'"
                .to_owned(),
            Cause::TokenFileOld => "kubectl delete pod \"$(hostname)\"".to_owned(),
            Cause::CertificateFileMissing => "ls -l \"$AZURE_CLIENT_CERTIFICATE_PATH\"".to_owned(),
            Cause::IdentityNotAssigned if has("CONTAINER_APP_NAME") => {
                "az containerapp identity assign --name \"$CONTAINER_APP_NAME\" --resource-group <RESOURCE_GROUP> \
                 --system-assigned"
                    .to_owned()
            }
            Cause::IdentityNotAssigned if has("WEBSITE_SITE_NAME") => "az webapp identity assign --name \
                                                                    \"$WEBSITE_SITE_NAME\" --resource-group \
                                                                    \"$WEBSITE_RESOURCE_GROUP\""
                .to_owned(),
            Cause::IdentityNotAssigned => match &self.client_id {
                Some(client) => format!(
                    "az vm identity assign --resource-group <RESOURCE_GROUP> --name <VM> --identities \"$(az identity \
                     list --query \"[?clientId=='{client}'].id | [0]\" --output tsv)\""
                ),
                None => "az vm identity assign --resource-group <RESOURCE_GROUP> --name <VM>".to_owned(),
            },
            Cause::ImdsUnreachable | Cause::ImdsAnsweredByOther => {
                "curl --noproxy '*' --max-time 3 --silent --show-error --include --header Metadata:true \
                 'http://169.254.169.254/metadata/instance/compute?api-version=2021-02-01'"
                    .to_owned()
            }
            Cause::ConditionalAccess => format!("az ad sp show --id {client} --query '[appId,displayName,tags]'"),
            Cause::ToolNotInstalled => "curl -sL https://aka.ms/InstallAzureCLIDeb | sudo bash".to_owned(),
            Cause::ToolNotSignedIn => match &self.tenant_id {
                Some(tenant) => format!("az login --tenant {tenant}"),
                None => "az login".to_owned(),
            },
            Cause::NoCredential => self.again(&[("--credential", "az")]),
            Cause::TooManyRequests => "sleep 60 && ".to_owned() + &self.again(&[]),
            Cause::ClockOff => SET_CLOCK.to_owned(),
            // The identity provider cannot be reached, or something else answers in its place.
            _ => "curl --silent --show-error --head https://login.microsoftonline.com/common/discovery/instance"
                .to_owned(),
        }
    }
}

/// Whether Azure has set this variable, by which its services are told apart.
fn has(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}
