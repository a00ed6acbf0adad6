//! The dashboard and the alert rules name figures that there are, as Prometheus gets them from `examples/metrics.rs`.

use crate::page::{self, brackets_fit, read};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

/// The queries of a dashboard, or of alert rules, with where they stand.
type Queries = Vec<(String, String)>;

fn of_the_dashboard() -> Queries {
    let dashboard: Value = serde_json::from_str(&read("src/guide/files/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels have numbers of their own");
    let mut queries = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            queries.push((title.to_owned(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            queries.push(("a variable".to_owned(), variable["query"].as_str().unwrap().to_owned()));
        }
    }
    queries
}

fn of_the_rules() -> Queries {
    let rules = read("src/guide/files/alerts.yml");
    let documents = Yaml::load_from_str(&rules).unwrap();
    let mut queries = Vec::new();
    for rule in documents[0]["groups"][0]["rules"].as_vec().unwrap() {
        let name = rule["alert"].as_str().unwrap().to_owned();
        assert!(
            rule["annotations"]["summary"].as_str().is_some() && rule["labels"]["severity"].as_str().is_some(),
            "{name}"
        );
        queries.push((name, rule["expr"].as_str().unwrap().to_owned()));
    }
    assert!(queries.len() >= 5, "{queries:?}");
    queries
}

/// The words of a query that begin as our figures do, and are no labels.
fn names(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_ours = |word: &&str| word.starts_with("entra_redis_") || word.starts_with("db_");
    words.filter(is_ours).filter(|word| !LABELS.contains(word)).map(str::to_owned).collect()
}

const LABELS: [&str; 7] = [
    "db_client_connection_pool_name",
    "db_client_connection_state",
    "db_operation_name",
    "db_response_status_code",
    "db_system_name",
    "entra_redis_node",
    "server_address",
];

#[test]
fn queries_have_the_form_of_queries() {
    for (place, query) in of_the_dashboard().into_iter().chain(of_the_rules()) {
        assert!(brackets_fit(&query), "{place}: {query}");
        assert!(!names(&query).is_empty(), "{place}: {query}");
    }
}

/// Prometheus's own word on the rules, where it is installed: that they load, and that they fire when they should.
#[test]
fn promtool_takes_the_rules() {
    let Ok(version) = Command::new("promtool").arg("--version").output() else {
        println!(
            "promtool (Debian: the package prometheus) is not in the PATH; the rules are read by a YAML parser alone"
        );
        return;
    };
    assert!(version.status.success());
    for arguments in
        [["check", "rules", "src/guide/files/alerts.yml"], ["test", "rules", "tests/guide/alerts_test.yml"]]
    {
        let said = Command::new("promtool").args(arguments).current_dir(page::root()).output().unwrap();
        let all = [said.stdout, said.stderr].concat();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&all));
    }
}

#[cfg(feature = "metrics")]
mod scraped {
    use super::*;
    use common::{SECOND, child, within};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    /// What a scraper gets, head and all; none while nobody is there.
    async fn get(address: &str) -> Option<String> {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        within("the figures", 5 * SECOND, stream.read_to_string(&mut answer)).await.ok()?;
        Some(answer)
    }

    #[tokio::test]
    async fn every_figure_of_the_dashboard_and_the_rules_is_served() {
        let example = child::start_example("metrics", "http://").await;
        let address = example.lines[0].strip_prefix("http://").and_then(|line| line.strip_suffix("/metrics"));
        let address = address.expect("where the figures are").to_owned();
        let text = common::eventually("commands have been timed", 30 * SECOND, async || {
            get(&address).await.filter(|text| text.contains("db_client_operation_duration_seconds_bucket"))
        })
        .await;
        let run = example.end().await;
        assert_eq!(run.code, Some(0), "{}", run.complaint);
        let served: BTreeSet<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        for (place, query) in of_the_dashboard().into_iter().chain(of_the_rules()) {
            for name in names(&query) {
                assert!(served.contains(&*name), "{place}: there is no {name}");
            }
        }
        // Labels, too: those that a query has and no figure.
        for label in LABELS {
            let comes_with_errors = label == "db_response_status_code";
            assert!(comes_with_errors || text.contains(&format!("{label}=\"")), "{label}");
        }
    }
}
