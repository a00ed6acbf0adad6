//! The manifests, read by a YAML parser: what must be where for workload identity, and that waits fit into each other.

use crate::page::read;
use saphyr::{LoadableYamlNode, Yaml};
use std::{fs, process::Command};

fn document<'a>(documents: &'a [Yaml<'a>], kind: &str) -> &'a Yaml<'a> {
    documents.iter().find(|document| text(&document["kind"]) == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn text<'a>(yaml: &'a Yaml<'_>) -> &'a str {
    yaml.as_str().unwrap_or_else(|| panic!("not a text: {yaml:?}"))
}

fn number(yaml: &Yaml<'_>) -> i64 {
    yaml.as_integer().unwrap_or_else(|| panic!("not a number: {yaml:?}"))
}

#[test]
fn manifests_have_what_workload_identity_needs() {
    let manifests = read("src/guide/files/kubernetes.yaml");
    let documents = Yaml::load_from_str(&manifests).unwrap();
    assert_eq!(documents.len(), 4);
    let namespaces = documents.iter().map(|document| text(&document["metadata"]["namespace"]));
    assert!(namespaces.into_iter().all(|namespace| namespace == "default"));

    let account = document(&documents, "ServiceAccount");
    let client = text(&account["metadata"]["annotations"]["azure.workload.identity/client-id"]);
    assert_eq!(client.len(), 36, "{client}");

    let deployment = document(&documents, "Deployment");
    let template = &deployment["spec"]["template"];
    // A text: Kubernetes refuses labels that YAML takes for something else.
    assert_eq!(text(&template["metadata"]["labels"]["azure.workload.identity/use"]), "true");
    assert_eq!(text(&template["spec"]["serviceAccountName"]), text(&account["metadata"]["name"]));
    let app = text(&template["metadata"]["labels"]["app"]);
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &document(&documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &document(&documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ] {
        assert_eq!(text(&selector["app"]), app);
    }
}

#[test]
fn probes_and_waits_fit_the_defaults() {
    let manifests = read("src/guide/files/kubernetes.yaml");
    let documents = Yaml::load_from_str(&manifests).unwrap();
    let pod = &document(&documents, "Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for (probe, path) in [("startupProbe", "/alive"), ("readinessProbe", "/ready"), ("livenessProbe", "/alive")] {
        let get = &container[probe]["httpGet"];
        assert_eq!((text(&get["path"]), text(&get["port"])), (path, text(&container["ports"][0]["name"])), "{probe}");
    }
    // `startup_timeout` is 30 s.
    let start = &container["startupProbe"];
    assert!(number(&start["periodSeconds"]) * number(&start["failureThreshold"]) > 30);
    // `shutdown_timeout` is that of a command, 5 s.
    let pause = number(&container["lifecycle"]["preStop"]["sleep"]["seconds"]);
    assert!(pause + 5 < number(&pod["terminationGracePeriodSeconds"]));
    for variable in container["env"].as_vec().unwrap() {
        text(&variable["value"]);
    }

    let rules = document(&documents, "NetworkPolicy")["spec"]["egress"].as_vec().unwrap();
    let ports = rules.iter().flat_map(|rule| rule["ports"].as_vec().unwrap());
    let ports: Vec<_> =
        ports.map(|port| (number(&port["port"]), port.as_mapping_get("endPort").and_then(Yaml::as_integer))).collect();
    assert!(ports.contains(&(10_000, None)) && ports.contains(&(8500, Some(8599))), "{ports:?}");
}

/// Kubernetes' own reading of them, where `kubectl` is installed; it needs no cluster for this.
#[test]
fn kubectl_takes_the_manifests() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("manifests.yaml"), read("src/guide/files/kubernetes.yaml")).unwrap();
    fs::write(folder.path().join("kustomization.yaml"), "resources: [manifests.yaml]\n").unwrap();
    let Ok(built) = Command::new("kubectl").arg("kustomize").arg(folder.path()).output() else {
        println!("kubectl is not in the PATH; the manifests are read by a YAML parser alone");
        return;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let built = String::from_utf8(built.stdout).unwrap();
    assert_eq!(Yaml::load_from_str(&built).unwrap().len(), 4, "{built}");
}

/// Every other block of YAML in the pages is one, too.
#[test]
fn yaml_of_the_pages_can_be_read() {
    for page in crate::page::all() {
        for block in page.blocks().iter().filter(|block| block.language == "yaml") {
            let read = Yaml::load_from_str(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.place()));
            assert!(read.iter().all(Yaml::is_mapping), "{}", block.place());
        }
    }
}
