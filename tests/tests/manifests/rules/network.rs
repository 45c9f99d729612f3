//! Nobody talks to anybody but where a policy says so; and whoever dials somebody of ours gets through.

use serde_json::Value;

use crate::documents::{Documents, list, text};
use crate::pods::{Pod, command_line, pods};
use crate::selectors::{carries, selects};

pub fn check(documents: &Documents) -> Vec<String> {
    let pods = pods(documents);
    let mut problems = Vec::new();
    if !documents.of_kind("NetworkPolicy").any(denies_all) {
        problems.push("no policy denies everything".to_owned());
    }
    for policy in documents.of_kind("NetworkPolicy") {
        problems.extend(open_rules(policy));
    }
    for pod in &pods {
        for (host, port) in dialled(documents, pod) {
            if let Err(why) = reaches(documents, &pods, pod, (&host, port)) {
                problems.push(format!("{} dials {host}:{port}: {why}", pod.owner));
            }
        }
        if text(pod.labels, "/app.kubernetes.io~1component") == "worker" && !meets_at_its_address(pod) {
            problems.push(format!(
                "{}: ranks of a gang would meet on loopback: LETHE_GANG_HOST is not the pod's",
                pod.owner
            ));
        }
        let lines = pod.containers().filter_map(|container| command_line(documents, pod, container).ok());
        let asks = lines.flat_map(|(_, words)| words).any(|word| word.starts_with("--kubernetes-event="));
        if asks != pod.holds_token() {
            problems.push(format!("{}: a token of the cluster's API and --kubernetes-event go together", pod.owner));
        }
        if asks && ![443, 6443].iter().all(|port| gets_out(documents, pod, *port)) {
            problems.push(format!("{}: no policy lets it out to the cluster's API", pod.owner));
        }
        if !resolves(documents, pod) {
            problems.push(format!("{}: no policy lets it ask for names", pod.owner));
        }
    }
    problems
}

fn denies_all(policy: &Value) -> bool {
    let is_for_all = policy.pointer("/spec/podSelector") == Some(&serde_json::json!({}));
    let types = list(policy, "/spec/policyTypes").len();
    is_for_all && types == 2 && list(policy, "/spec/ingress").is_empty() && list(policy, "/spec/egress").is_empty()
}

/// A rule that names no peer is for the whole world, one without ports for every port.
fn open_rules(policy: &Value) -> Vec<String> {
    let name = text(policy, "/metadata/name");
    let rules = [("/spec/ingress", "/from"), ("/spec/egress", "/to")];
    let rules = rules.iter().flat_map(|(rules, peers)| list(policy, rules).iter().map(move |rule| (rule, *peers)));
    let open = rules.filter(|(rule, peers)| list(rule, peers).is_empty() || list(rule, "/ports").is_empty());
    open.map(|_| format!("NetworkPolicy/{name}: a rule is for every peer or every port")).collect()
}

/// Hosts and ports of our services in a pod's arguments, but for those that it announces as its own.
fn dialled(documents: &Documents, pod: &Pod<'_>) -> Vec<(String, u64)> {
    let lines = pod.containers().filter_map(|container| command_line(documents, pod, container).ok());
    let words = lines.flat_map(|(_, words)| words).filter(|word| !word.contains("advertise"));
    let mut found = Vec::new();
    for word in words {
        for part in word.split(['/', ',', '=']) {
            let Some((host, port)) = part.split_once(':') else { continue };
            if let (true, Ok(port)) = (host.contains("lethe"), port.parse()) {
                found.push((host.to_owned(), port));
            }
        }
    }
    found
}

/// Whether POD.SERVICE[.NAMESPACE.svc]:PORT is there, and both ends' policies let the first pod through.
fn reaches(documents: &Documents, pods: &[Pod<'_>], from: &Pod<'_>, (host, port): (&str, u64)) -> Result<(), String> {
    let mut parts = host.split('.');
    let (Some(name), Some(service)) = (parts.next(), parts.next()) else {
        return Err("expected POD.SERVICE".to_owned());
    };
    let found = documents.find("Service", service).ok_or_else(|| format!("there is no Service/{service}"))?;
    let wanted = found.pointer("/spec/selector").unwrap_or(&Value::Null);
    let to = pods.iter().find(|pod| carries(pod.labels, wanted)).ok_or("no pod is behind it")?;
    let ordinal = name.strip_prefix(to.owner_name).and_then(|rest| rest.strip_prefix('-')?.parse::<u64>().ok());
    if ordinal.is_none_or(|ordinal| ordinal >= to.replicas) {
        return Err(format!("{} has no pod {name}", to.owner));
    }
    if !to.ports().iter().any(|open| open.number == port) {
        return Err(format!("{} does not listen there", to.owner));
    }
    let out = allowed(documents, (from, "Egress"), (to, "/spec/egress", "/to"), (to, port));
    let inward = allowed(documents, (to, "Ingress"), (from, "/spec/ingress", "/from"), (to, port));
    match (out, inward) {
        (true, true) => Ok(()),
        (false, _) => Err("no policy lets it out".to_owned()),
        (true, false) => Err(format!("no policy lets it in to {}", to.owner)),
    }
}

/// Whether one of the subject's policies of a type names the peer, and the port of the pod that is dialled.
fn allowed(
    documents: &Documents,
    (subject, of_type): (&Pod<'_>, &str),
    (peer, rules, peers): (&Pod<'_>, &str, &str),
    (dialled, port): (&Pod<'_>, u64),
) -> bool {
    let policies = documents.of_kind("NetworkPolicy").filter(|policy| {
        list(policy, "/spec/policyTypes").iter().any(|known| known == of_type)
            && selects(policy.pointer("/spec/podSelector").unwrap_or(&Value::Null), subject.labels)
    });
    policies.flat_map(|policy| list(policy, rules)).any(|rule| {
        let named = list(rule, peers).iter().any(|candidate| {
            candidate.pointer("/namespaceSelector").is_none()
                && candidate.pointer("/podSelector").is_some_and(|selector| selects(selector, peer.labels))
        });
        named && list(rule, "/ports").iter().any(|open| covers(open, dialled, port))
    })
}

fn covers(open: &Value, pod: &Pod<'_>, port: u64) -> bool {
    let Some(first) = open.pointer("/port").and_then(|given| pod.port(given)) else { return false };
    let last = open.pointer("/endPort").and_then(Value::as_u64).unwrap_or(first);
    (first..=last).contains(&port)
}

fn meets_at_its_address(pod: &Pod<'_>) -> bool {
    let mut variables = pod.containers().flat_map(|container| list(container, "/env"));
    variables.any(|variable| {
        text(variable, "/name") == "LETHE_GANG_HOST"
            && text(variable, "/valueFrom/fieldRef/fieldPath") == "status.podIP"
    })
}

/// Whether it may dial addresses outside of the cluster's pods at a port.
fn gets_out(documents: &Documents, pod: &Pod<'_>, port: u64) -> bool {
    let mut policies = documents.of_kind("NetworkPolicy").filter(|policy| {
        selects(policy.pointer("/spec/podSelector").unwrap_or(&Value::Null), pod.labels)
            && list(policy, "/spec/policyTypes").iter().any(|known| known == "Egress")
    });
    policies.any(|policy| {
        list(policy, "/spec/egress").iter().any(|rule| {
            list(rule, "/to").iter().any(|peer| peer.get("ipBlock").is_some())
                && list(rule, "/ports").iter().any(|open| covers(open, pod, port))
        })
    })
}

fn resolves(documents: &Documents, pod: &Pod<'_>) -> bool {
    let mut policies = documents.of_kind("NetworkPolicy").filter(|policy| {
        selects(policy.pointer("/spec/podSelector").unwrap_or(&Value::Null), pod.labels)
            && list(policy, "/spec/policyTypes").iter().any(|known| known == "Egress")
    });
    policies.any(|policy| {
        let ports = list(policy, "/spec/egress").iter().flat_map(|rule| list(rule, "/ports"));
        let udp =
            |port: &&Value| text(port, "/protocol") == "UDP" && port.pointer("/port") == Some(&serde_json::json!(53));
        ports.into_iter().any(|port| udp(&port))
    })
}
