//! Names and labels: the recommended ones on everything, one namespace, and none where they cannot be changed.

use serde_json::Value;

use crate::documents::{self, Documents, list, text};
use crate::pods::pods;

const RECOMMENDED: [&str; 5] = ["name", "instance", "version", "part-of", "managed-by"];

/// Kinds that lie in no namespace.
const OF_THE_CLUSTER: [&str; 3] = ["Namespace", "ClusterQueue", "ResourceFlavor"];

pub fn check(documents: &Documents) -> Vec<String> {
    let namespaces: Vec<&Value> = documents.of_kind("Namespace").collect();
    let [namespace] = namespaces[..] else { return vec![format!("{} namespaces; expected one", namespaces.len())] };
    let namespace = text(namespace, "/metadata/name");
    let mut problems = Vec::new();
    for document in documents.all() {
        let name = documents::name(document);
        problems.extend(missing(&name, document.pointer("/metadata/labels")));
        let expected = if OF_THE_CLUSTER.contains(&documents::kind(document)) { "" } else { namespace };
        let found = text(document, "/metadata/namespace");
        if found != expected {
            problems.push(format!("{name}: namespace {found:?}; expected {expected:?}"));
        }
        // Nobody may change a claim template's, so that the next version's could not be rolled out.
        for claim in list(document, "/spec/volumeClaimTemplates") {
            if claim.pointer("/metadata/labels").is_some_and(|labels| labels.get("app.kubernetes.io/version").is_some())
            {
                problems.push(format!("{name}: a claim template has a version label, which cannot change"));
            }
        }
    }
    for pod in pods(documents) {
        problems.extend(missing(&format!("{}: its pods", pod.owner), Some(pod.labels)));
        if pod.labels.get("app.kubernetes.io/component").is_none() {
            problems.push(format!("{}: its pods: no label app.kubernetes.io/component", pod.owner));
        }
    }
    problems
}

fn missing(name: &str, labels: Option<&Value>) -> Vec<String> {
    let labels = labels.unwrap_or(&Value::Null);
    let keys = RECOMMENDED.iter().map(|key| format!("app.kubernetes.io/{key}"));
    keys.filter(|key| labels.get(key).is_none()).map(|key| format!("{name}: no label {key}")).collect()
}
