//! Whoever selects pods selects some, and the ones that were meant.

use serde_json::{Value, json};

use crate::documents::{self, Documents, list, text};
use crate::pods::{Pod, pods};
use crate::selectors::{carries, selects};

pub fn check(documents: &Documents) -> Vec<String> {
    let pods = pods(documents);
    let mut problems = Vec::new();
    for service in documents.of_kind("Service") {
        let wanted = service.pointer("/spec/selector").unwrap_or(&Value::Null);
        let found = pods.iter().filter(|pod| carries(pod.labels, wanted));
        problems.extend(one_owner(&documents::name(service), found));
    }
    for budget in documents.of_kind("PodDisruptionBudget") {
        let selector = budget.pointer("/spec/selector").unwrap_or(&Value::Null);
        let found = pods.iter().filter(|pod| selects(selector, pod.labels));
        problems.extend(one_owner(&documents::name(budget), found));
    }
    for pod in &pods {
        problems.extend(own_pods(documents, pod));
        problems.extend(neighbours(pod));
    }
    for policy in documents.of_kind("NetworkPolicy") {
        problems.extend(peers(policy, &pods));
    }
    for monitor in documents.of_kind("ServiceMonitor") {
        let selector = monitor.pointer("/spec/selector").unwrap_or(&Value::Null);
        if !documents
            .of_kind("Service")
            .any(|s| selects(selector, s.pointer("/metadata/labels").unwrap_or(&Value::Null)))
        {
            problems.push(format!("{}: it selects no service", documents::name(monitor)));
        }
    }
    problems
}

/// Pods of two owners behind one name are never meant here.
fn one_owner<'a>(name: &str, found: impl Iterator<Item = &'a Pod<'a>>) -> Option<String> {
    let owners: Vec<&str> = found.map(|pod| pod.owner.as_str()).collect();
    match owners[..] {
        [_] => None,
        [] => Some(format!("{name}: it selects no pod")),
        _ => Some(format!("{name}: it selects pods of {}", owners.join(" and "))),
    }
}

/// What a StatefulSet says of itself: its own selector, and the service that names its pods.
fn own_pods(documents: &Documents, pod: &Pod<'_>) -> Vec<String> {
    let Some(selector) = pod.document.pointer("/spec/selector") else { return Vec::new() };
    let mut problems = Vec::new();
    if !selects(selector, pod.labels) {
        problems.push(format!("{}: its selector does not take in its own pods", pod.owner));
    }
    let service = text(pod.document, "/spec/serviceName");
    match documents.find("Service", service) {
        None => problems.push(format!("{}: there is no Service/{service}", pod.owner)),
        Some(found) if text(found, "/spec/clusterIP") != "None" => {
            problems.push(format!("{}: Service/{service} is not headless, so that pods have no names", pod.owner));
        }
        Some(found) if found.pointer("/spec/publishNotReadyAddresses") != Some(&json!(true)) => {
            problems.push(format!("Service/{service}: it does not publish addresses of pods that are not ready"));
        }
        Some(_) => {}
    }
    problems
}

/// Spread and anti-affinity are among a pod's own kind.
fn neighbours(pod: &Pod<'_>) -> Vec<String> {
    let spread = list(pod.spec, "/topologySpreadConstraints");
    let apart = list(pod.spec, "/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    let stray = spread.iter().chain(apart).filter(|rule| {
        !selects(rule.pointer("/labelSelector").unwrap_or(&json!({"matchLabels": {"none": ""}})), pod.labels)
    });
    stray.map(|_| format!("{}: it is kept apart from other pods than its own", pod.owner)).collect()
}

/// Peers of this namespace exist; those of another one are not asked for our labels.
fn peers(policy: &Value, pods: &[Pod<'_>]) -> Vec<String> {
    let name = documents::name(policy);
    let mut problems = Vec::new();
    let subject = policy.pointer("/spec/podSelector").unwrap_or(&Value::Null);
    if !pods.iter().any(|pod| selects(subject, pod.labels)) {
        problems.push(format!("{name}: it is for no pod"));
    }
    let rules = [("/spec/ingress", "/from"), ("/spec/egress", "/to")];
    let peers = rules.iter().flat_map(|(rules, peers)| list(policy, rules).iter().flat_map(|rule| list(rule, peers)));
    for peer in peers {
        let Some(selector) = peer.pointer("/podSelector") else { continue };
        match peer.pointer("/namespaceSelector") {
            None if !pods.iter().any(|pod| selects(selector, pod.labels)) => {
                problems.push(format!("{name}: a peer is no pod of ours"));
            }
            None => {}
            Some(_) if selector.to_string().contains("app.kubernetes.io/instance") => {
                problems.push(format!("{name}: pods of another namespace are asked for our label instance"));
            }
            Some(_) => {}
        }
    }
    problems
}
