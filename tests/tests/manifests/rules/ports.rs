//! Ports that are named exist in whoever is selected, and have names that Kubernetes takes.

use serde_json::Value;

use crate::documents::{self, Documents, list, text};
use crate::pods::{Pod, pods};
use crate::selectors::{carries, selects};

const MAX_NAME_BYTES: usize = 15;

pub fn check(documents: &Documents) -> Vec<String> {
    let pods = pods(documents);
    let mut problems = Vec::new();
    for pod in &pods {
        problems.extend(probes(pod));
        let long = pod.ports().into_iter().filter(|port| port.name.len() > MAX_NAME_BYTES);
        problems.extend(long.map(|port| format!("{}: port name {:?} is too long", pod.owner, port.name)));
    }
    for service in documents.of_kind("Service") {
        let wanted = service.pointer("/spec/selector").unwrap_or(&Value::Null);
        for pod in pods.iter().filter(|pod| carries(pod.labels, wanted)) {
            for port in list(service, "/spec/ports") {
                let target = port.pointer("/targetPort").or(port.pointer("/port")).unwrap_or(&Value::Null);
                problems.extend(known(&documents::name(service), pod, target));
            }
        }
    }
    for policy in documents.of_kind("NetworkPolicy") {
        problems.extend(of_policy(policy, &pods));
    }
    for monitor in documents.of_kind("ServiceMonitor") {
        let selector = monitor.pointer("/spec/selector").unwrap_or(&Value::Null);
        let labels = |service: &Value| service.pointer("/metadata/labels").cloned().unwrap_or_default();
        for service in documents.of_kind("Service").filter(|service| selects(selector, &labels(service))) {
            let names: Vec<&str> = list(service, "/spec/ports").iter().map(|port| text(port, "/name")).collect();
            let ends = list(monitor, "/spec/endpoints").iter().map(|end| text(end, "/port"));
            let lost = ends.filter(|port| !names.contains(port));
            problems.extend(lost.map(|port| {
                format!("{}: {} has no port {port:?}", documents::name(monitor), documents::name(service))
            }));
        }
    }
    problems
}

fn probes(pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    for container in pod.containers() {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            for way in ["httpGet", "tcpSocket"] {
                if let Some(port) = container.pointer(&format!("/{probe}/{way}/port")) {
                    problems.extend(known(&format!("{}: its {probe}", pod.owner), pod, port));
                }
            }
        }
    }
    problems
}

/// Names resolve in the pods that are reached: the subject's where they come in, the peers' where they go out.
fn of_policy(policy: &Value, pods: &[Pod<'_>]) -> Vec<String> {
    let name = documents::name(policy);
    let mut problems = Vec::new();
    let subject = policy.pointer("/spec/podSelector").unwrap_or(&Value::Null);
    for rule in list(policy, "/spec/ingress") {
        for pod in pods.iter().filter(|pod| selects(subject, pod.labels)) {
            problems.extend(list(rule, "/ports").iter().filter_map(|port| named(&name, pod, port)));
        }
    }
    for rule in list(policy, "/spec/egress") {
        let ours = list(rule, "/to").iter().filter(|peer| peer.pointer("/namespaceSelector").is_none());
        for selector in ours.filter_map(|peer| peer.pointer("/podSelector")) {
            for pod in pods.iter().filter(|pod| selects(selector, pod.labels)) {
                problems.extend(list(rule, "/ports").iter().filter_map(|port| named(&name, pod, port)));
            }
        }
    }
    problems
}

/// Numbers need no name: a range is whatever the system chooses.
fn named(name: &str, pod: &Pod<'_>, port: &Value) -> Option<String> {
    port.pointer("/port").filter(|port| port.is_string()).and_then(|port| known(name, pod, port))
}

fn known(name: &str, pod: &Pod<'_>, port: &Value) -> Option<String> {
    let number = pod.port(port);
    let is_open = number.is_some_and(|number| pod.ports().iter().any(|open| open.number == number));
    (!is_open).then(|| format!("{name}: {} has no port {port}", pod.owner))
}
