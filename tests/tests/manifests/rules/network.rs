//! Nobody talks to anybody but where a policy says so; and whoever dials somebody of ours gets through.

use serde_json::{Value, json};

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
    problems.extend(unseen(documents, &pods));
    problems
}

fn denies_all(policy: &Value) -> bool {
    let is_for_all = policy.pointer("/spec/podSelector") == Some(&json!({}));
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
    let policies = documents.of_kind("NetworkPolicy").filter(|policy| is_about(policy, subject, of_type));
    policies.flat_map(|policy| list(policy, rules)).any(|rule| {
        let named = list(rule, peers).iter().any(|candidate| {
            candidate.pointer("/namespaceSelector").is_none()
                && candidate.pointer("/podSelector").is_some_and(|selector| selects(selector, peer.labels))
        });
        named && list(rule, "/ports").iter().any(|open| covers(open, dialled, port))
    })
}

/// Whether a policy is about a pod's traffic of a type.
fn is_about(policy: &Value, pod: &Pod<'_>, of_type: &str) -> bool {
    list(policy, "/spec/policyTypes").iter().any(|known| known == of_type)
        && selects(policy.pointer("/spec/podSelector").unwrap_or(&Value::Null), pod.labels)
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

/// The rules by which policies let a pod out.
fn ways_out<'a>(documents: &'a Documents, pod: &'a Pod<'_>) -> impl Iterator<Item = &'a Value> {
    let policies = documents.of_kind("NetworkPolicy").filter(move |policy| is_about(policy, pod, "Egress"));
    policies.flat_map(|policy| list(policy, "/spec/egress"))
}

/// Whether it may dial addresses outside of the cluster's pods at a port.
fn gets_out(documents: &Documents, pod: &Pod<'_>, port: u64) -> bool {
    ways_out(documents, pod).any(|rule| {
        list(rule, "/to").iter().any(|peer| peer.get("ipBlock").is_some())
            && list(rule, "/ports").iter().any(|open| covers(open, pod, port))
    })
}

/// Whether it may ask the cluster's DNS, and a cache of it on its node, by either protocol.
fn resolves(documents: &Documents, pod: &Pod<'_>) -> bool {
    let asks = |whom: fn(&Value) -> bool, protocol: &str| {
        let is_open = |port: &Value| text(port, "/protocol") == protocol && port.pointer("/port") == Some(&json!(53));
        ways_out(documents, pod)
            .any(|rule| list(rule, "/to").iter().any(whom) && list(rule, "/ports").iter().any(is_open))
    };
    ["UDP", "TCP"].into_iter().all(|protocol| asks(is_dns, protocol) && asks(is_cache, protocol))
}

fn is_dns(peer: &Value) -> bool {
    let namespace = peer.pointer("/namespaceSelector/matchLabels/kubernetes.io~1metadata.name");
    let pods = peer.pointer("/podSelector");
    namespace == Some(&json!("kube-system")) && pods.is_some_and(|pods| selects(pods, &json!({"k8s-app": "kube-dns"})))
}

/// NodeLocal DNSCache: no selector names it, since its pods have the nodes' own addresses.
fn is_cache(peer: &Value) -> bool {
    peer.pointer("/ipBlock/cidr") == Some(&json!("169.254.20.10/32"))
}

/// Pods behind a service that is monitored, and no policy lets anybody of another namespace in to the port.
fn unseen(documents: &Documents, pods: &[Pod<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    for monitor in documents.of_kind("ServiceMonitor") {
        let selector = monitor.pointer("/spec/selector").unwrap_or(&Value::Null);
        let labels = |service: &Value| service.pointer("/metadata/labels").cloned().unwrap_or_default();
        for service in documents.of_kind("Service").filter(|service| selects(selector, &labels(service))) {
            let wanted = service.pointer("/spec/selector").unwrap_or(&Value::Null);
            for pod in pods.iter().filter(|pod| carries(pod.labels, wanted)) {
                let ports = list(monitor, "/spec/endpoints").iter().filter_map(|end| end.pointer("/port"));
                let shut = ports.filter(|port| !lets_others_in(documents, pod, port));
                problems.extend(shut.map(|port| format!("{}: no policy lets a Prometheus in to {port}", pod.owner)));
            }
        }
    }
    problems
}

fn lets_others_in(documents: &Documents, pod: &Pod<'_>, port: &Value) -> bool {
    let Some(port) = pod.port(port) else { return true }; // rules::ports tells it
    let policies = documents.of_kind("NetworkPolicy").filter(|policy| is_about(policy, pod, "Ingress"));
    policies.flat_map(|policy| list(policy, "/spec/ingress")).any(|rule| {
        list(rule, "/from").iter().any(|peer| peer.get("namespaceSelector").is_some())
            && list(rule, "/ports").iter().any(|open| covers(open, pod, port))
    })
}
