//! Documents of others' kinds, for which Kubernetes has no schema: the fields that we use, as their authors name them.

use serde_json::Value;

use crate::documents::{self, Documents};

/// A kind, its version, and the fields of its spec; a dotted one lies within another.
const KINDS: [(&str, &str, &[&str]); 7] = [
    ("Issuer", "cert-manager.io/v1", &["selfSigned", "ca", "ca.secretName"]),
    (
        "Certificate",
        "cert-manager.io/v1",
        &[
            "secretName",
            "commonName",
            "isCA",
            "duration",
            "renewBefore",
            "privateKey",
            "privateKey.algorithm",
            "privateKey.size",
            "privateKey.rotationPolicy",
            "usages",
            "uris",
            "dnsNames",
            "issuerRef",
            "issuerRef.group",
            "issuerRef.kind",
            "issuerRef.name",
        ],
    ),
    (
        "ServiceMonitor",
        "monitoring.coreos.com/v1",
        &[
            "selector",
            "selector.matchLabels",
            "selector.matchExpressions",
            "namespaceSelector",
            "namespaceSelector.matchNames",
            "podTargetLabels",
            "endpoints",
        ],
    ),
    ("PrometheusRule", "monitoring.coreos.com/v1", &["groups"]),
    ("ResourceFlavor", "kueue.x-k8s.io/v1beta2", &["nodeLabels", "tolerations"]),
    (
        "ClusterQueue",
        "kueue.x-k8s.io/v1beta2",
        &["namespaceSelector", "namespaceSelector.matchLabels", "resourceGroups"],
    ),
    ("LocalQueue", "kueue.x-k8s.io/v1beta2", &["clusterQueue"]),
];

/// Where keys are the user's.
const OPEN: [&str; 3] = ["matchLabels", "nodeLabels", "selfSigned"];

pub fn check(documents: &Documents) -> Vec<String> {
    let mut problems = Vec::new();
    for document in documents.all() {
        let kind = documents::kind(document);
        let Some((_, version, fields)) = KINDS.iter().find(|(known, ..)| *known == kind) else { continue };
        let name = documents::name(document);
        if documents::text(document, "/apiVersion") != *version {
            problems.push(format!("{name}: expected apiVersion {version}"));
        }
        let spec = document.pointer("/spec").unwrap_or(&Value::Null);
        let unknown = paths(spec, "").into_iter().filter(|path| !fields.contains(&path.as_str()));
        problems.extend(unknown.map(|path| format!("{name}: spec has no field {path:?} that is known here")));
    }
    for queue in documents.of_kind("LocalQueue") {
        let of = documents::text(queue, "/spec/clusterQueue");
        if !documents.is_there("ClusterQueue", of) {
            problems.push(format!("{}: there is no ClusterQueue/{of}", documents::name(queue)));
        }
    }
    problems
}

fn paths(value: &Value, above: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        if !OPEN.contains(&key.as_str()) {
            found.extend(paths(inner, &path));
        }
        found.push(path);
    }
    found
}
