//! Alerts and dashboard by themselves: what Prometheus's own tool says of them.

use std::process::Command;

use lethe_servers::prometheus_program;

use crate::names::{file, mentioned, read};

fn promtool(arguments: &[&str]) {
    let program = prometheus_program("promtool").expect("is there: `make test` fetches it");
    let output = Command::new(program).args(arguments).current_dir(file("ops")).output().expect("runs");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn the_alert_rules_are_well_formed_and_fire_when_they_should_and_not_else() {
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["test", "rules", "alerts_test.yaml"]);
}

#[test]
fn every_alert_has_its_test_and_its_paragraph() {
    let (rules, tests, doc) = (read("ops/alerts.yaml"), read("ops/alerts_test.yaml"), read("docs/telemetry.md"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "the alerts lie elsewhere");
    for alert in alerts {
        let silent = tests.lines().any(|line| line.contains(&format!("alertname: {alert} }}")));
        let firing = tests.lines().any(|line| line.trim() == format!("alertname: {alert}"));
        assert!(silent && firing, "{alert} is not tested both ways in ops/alerts_test.yaml");
        assert!(doc.contains(alert), "docs/telemetry.md does not say what to do about {alert}");
    }
}

#[test]
fn the_dashboard_is_json_whose_panels_have_each_an_id_and_a_query() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("ops/dashboard.json")).expect("is JSON");
    let panels = dashboard["panels"].as_array().expect("has panels");
    let ids: std::collections::BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let queries = panel["targets"].as_array().expect("has targets");
        let asks = |query: &serde_json::Value| !mentioned(query["expr"].as_str().unwrap_or_default()).is_empty();
        assert!(!queries.is_empty() && queries.iter().all(asks), "{panel} asks for nothing of ours");
    }
}
