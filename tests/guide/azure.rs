//! What the pages say to Azure: commands of `az`, which are run in bash on a script that notes them, and are compared
//! with what Microsoft documents; and the templates.

use crate::page::{self, brackets_fit, read};
use serde_json::Value;
use std::{collections::BTreeSet, env, fs, process::Command};

/// Notes its arguments, a line for each call, and prints an id, as most of these do for a `--query`.
const AZ: &str = r#"#!/bin/sh
printf '%s\037' "$@" | tr '\n' ' ' >> "$CALLS"
printf '\n' >> "$CALLS"
case " $* " in
  *" --query "*) echo 6497c918-11ad-41e7-1b0f-7c518a87d0b0 ;;
esac
"#;

/// Commands, and the options that they take: those with `!` are required.
///
/// From the extension `redisenterprise`
/// (<https://github.com/Azure/azure-cli-extensions/tree/main/src/redisenterprise>) and the Azure CLI's reference
/// (<https://learn.microsoft.com/cli/azure/reference-index>).
const KNOWN: &[(&str, &str)] = &[
    ("login", "tenant"),
    ("extension add", "name! upgrade"),
    ("group create", "name! location!"),
    ("identity create", "resource-group! name!"),
    ("identity show", "resource-group! name!"),
    ("identity federated-credential create", "resource-group! identity-name! name! issuer! subject! audiences!"),
    ("webapp identity show", "resource-group! name!"),
    ("ad sp show", "id!"),
    ("ad sp create", "id!"),
    ("ad signed-in-user show", ""),
    ("ad app create", "display-name!"),
    ("ad app federated-credential create", "id! parameters!"),
    ("aks update", "resource-group! name! enable-oidc-issuer enable-workload-identity"),
    ("aks show", "resource-group! name!"),
    (
        "redisenterprise create",
        "resource-group! cluster-name! sku! location clustering-policy client-protocol access-keys-auth \
         public-network-access",
    ),
    ("redisenterprise show", "resource-group! cluster-name!"),
    ("redisenterprise database update", "resource-group! cluster-name! access-keys-auth"),
    (
        "redisenterprise database access-policy-assignment create",
        "resource-group! cluster-name! database-name! access-policy-assignment-name! access-policy-name object-id!",
    ),
    ("redisenterprise database access-policy-assignment list", "resource-group! cluster-name! database-name!"),
    (
        "network private-endpoint create",
        "resource-group! name! connection-name! vnet-name subnet! private-connection-resource-id! group-id!",
    ),
    ("network private-dns zone create", "resource-group! name!"),
    ("network private-dns link vnet create", "resource-group! name! zone-name! virtual-network! registration-enabled!"),
    (
        "network private-endpoint dns-zone-group create",
        "resource-group! endpoint-name! name! zone-name! private-dns-zone!",
    ),
];

/// Of every command.
const GLOBAL: [&str; 2] = ["query", "output"];

/// The calls that bash makes of this text.
fn calls(place: &str, text: &str) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let (az, noted) = (folder.path().join("az"), folder.path().join("calls"));
    fs::write(&az, AZ).unwrap();
    fs::write(&noted, "").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&az).status().unwrap().success());
    let path = format!("{}:{}", folder.path().display(), env::var("PATH").unwrap());
    let shell = Command::new("bash")
        .args(["-c", &format!("set -eu\n{text}")])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("CALLS", &noted)
        .output()
        .unwrap();
    assert!(shell.status.success(), "{place}: {}", String::from_utf8_lossy(&shell.stderr));
    let noted = fs::read_to_string(noted).unwrap();
    noted.lines().map(|call| call.trim_end_matches('\u{1f}').split('\u{1f}').map(str::to_owned).collect()).collect()
}

fn check(place: &str, call: &[String]) {
    let first_option = call.iter().position(|word| word.starts_with("--")).unwrap_or(call.len());
    let name = call[..first_option].join(" ");
    let (_, options) =
        KNOWN.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{place}: az {name} is not known"));
    let required: BTreeSet<_> = options.split_whitespace().filter_map(|option| option.strip_suffix('!')).collect();
    let allowed: BTreeSet<_> = options.split_whitespace().map(|option| option.trim_end_matches('!')).collect();
    let mut given = BTreeSet::new();
    let mut words = call[first_option..].iter().peekable();
    while let Some(word) = words.next() {
        let option = word.strip_prefix("--").unwrap_or_else(|| panic!("{place}: `{word}` of az {name} stands alone"));
        let is_known = allowed.contains(option) || GLOBAL.contains(&option);
        assert!(is_known, "{place}: az {name} has no --{option}");
        given.insert(option);
        if let Some(value) = words.next_if(|word| !word.starts_with("--")) {
            check_value(place, option, value);
        }
    }
    let missing: Vec<_> = required.difference(&given).collect();
    assert!(missing.is_empty(), "{place}: az {name} needs {missing:?}");
}

/// Values with a form that Azure insists on.
fn check_value(place: &str, option: &str, value: &str) {
    let is_right = match option {
        // `^[A-Za-z0-9]{1,60}$`
        "access-policy-assignment-name" => value.len() <= 60 && value.chars().all(|c| c.is_ascii_alphanumeric()),
        "access-policy-name" | "database-name" => value == "default",
        "clustering-policy" => ["OSSCluster", "EnterpriseCluster", "NoCluster"].contains(&value),
        "access-keys-auth" | "public-network-access" => ["Enabled", "Disabled"].contains(&value),
        "client-protocol" => value == "Encrypted",
        "object-id" => value.len() == 36 && value.matches('-').count() == 4,
        "audiences" => value == "api://AzureADTokenExchange",
        "group-id" => value == "redisEnterprise",
        "private-dns-zone" => value == "privatelink.redis.azure.net",
        "parameters" => {
            let json: Value = serde_json::from_str(value).unwrap_or_else(|error| panic!("{place}: {error}: {value}"));
            json["audiences"] == serde_json::json!(["api://AzureADTokenExchange"])
                && ["name", "issuer", "subject"].iter().all(|key| json[key].is_string())
        }
        _ => true,
    };
    assert!(is_right, "{place}: --{option} {value}");
}

#[test]
fn commands_of_az_are_ones_that_there_are() {
    let mut seen = BTreeSet::new();
    for page in page::all() {
        for block in page.blocks() {
            let has_az = block.text.lines().any(|line| line.starts_with("az ") || line.contains("$(az "));
            assert_eq!(block.mark("az").is_some(), has_az, "{}: mark blocks with `az`, and no others", block.place());
            if has_az {
                let calls = calls(&block.place(), &block.text);
                assert!(!calls.is_empty(), "{}", block.place());
                for call in &calls {
                    check(&block.place(), call);
                    seen.insert(
                        call.iter().take_while(|word| !word.starts_with("--")).cloned().collect::<Vec<_>>().join(" "),
                    );
                }
            }
        }
    }
    let unused: Vec<_> = KNOWN.iter().filter(|(name, _)| !seen.contains(*name)).collect();
    assert!(unused.is_empty(), "no page has {unused:?} any more");
}

/// No compiler for them is at hand everywhere: brackets, resource types and API versions are what can be held on to.
#[test]
fn templates_name_types_that_there_are() {
    let bicep = read("src/guide/files/main.bicep");
    assert!(brackets_fit(&bicep), "main.bicep");
    let types: Vec<_> = bicep.lines().filter_map(|line| line.strip_prefix("resource ")?.split('\'').nth(1)).collect();
    assert_eq!(
        types,
        [
            "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31",
            "Microsoft.Cache/redisEnterprise@2025-07-01",
            "Microsoft.Cache/redisEnterprise/databases@2025-07-01",
            "Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01",
        ]
    );
    let terraform = read("src/guide/files/main.tf");
    assert!(brackets_fit(&terraform), "main.tf");
    for resource in ["azurerm_managed_redis", "azurerm_managed_redis_access_policy_assignment"] {
        assert!(terraform.contains(&format!("resource \"{resource}\" ")), "{resource}");
    }
    // Where Terraform is, it reads the file.
    if let Ok(checked) =
        Command::new("terraform").args(["fmt", "-check", "-diff"]).arg(page::root().join("src/guide/files")).output()
    {
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
}
