//! Words of which Kubernetes knows a few only, and its schemas say no more than that they are text.

use serde_json::Value;

use crate::documents::{self, Documents, objects};

/// A field, and what it may be. The same name means the same wherever it stands, in what we use.
const WORDS: [(&str, &[&str]); 17] = [
    ("concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    ("restartPolicy", &["Always", "OnFailure", "Never"]),
    ("podManagementPolicy", &["OrderedReady", "Parallel"]),
    ("whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    ("effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    ("protocol", &["TCP", "UDP", "SCTP"]),
    ("medium", &["", "Memory", "HugePages"]),
    ("imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("fsGroupChangePolicy", &["OnRootMismatch", "Always"]),
    ("unhealthyPodEvictionPolicy", &["IfHealthyBudget", "AlwaysAllow"]),
    ("whenDeleted", &["Retain", "Delete"]),
    ("whenScaled", &["Retain", "Delete"]),
    ("action", &["FailJob", "Ignore", "Count", "FailIndex"]),
    ("operator", &["In", "NotIn", "Exists", "DoesNotExist", "Equal", "Lt", "Gt"]),
    ("dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("policyTypes", &["Ingress", "Egress"]),
    ("accessModes", &["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]),
];

pub fn check(documents: &Documents) -> Vec<String> {
    let mut problems = Vec::new();
    for document in documents.all() {
        for (path, fields) in objects(document) {
            for (field, words) in WORDS {
                let found = fields.get(field).map(texts).unwrap_or_default();
                for word in found.into_iter().filter(|word| !words.contains(word)) {
                    let name = documents::name(document);
                    problems.push(format!("{name}{path}/{field}: {word:?} is none of {}", words.join(", ")));
                }
            }
        }
    }
    problems
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(members) => members.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}
