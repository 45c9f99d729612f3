//! The restricted pod security standard, a root file system that nobody writes, and no key to the cluster's API but one that creates events.

use serde_json::{Value, json};

use crate::documents::{Documents, list, name, text};
use crate::pods::{Pod, pods};

/// Sources of volumes that the restricted standard takes.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

pub fn check(documents: &Documents) -> Vec<String> {
    let mut problems: Vec<String> = pods(documents).iter().flat_map(of_pod).collect();
    problems.extend(rights(documents));
    for namespace in documents.of_kind("Namespace") {
        let enforced = namespace.pointer("/metadata/labels/pod-security.kubernetes.io~1enforce");
        if enforced != Some(&json!("restricted")) {
            problems.push("the namespace does not enforce restricted pod security".to_owned());
        }
    }
    problems
}

/// Who holds a token may create events and nothing else; who holds none has no rights.
fn rights(documents: &Documents) -> Vec<String> {
    let mut problems = Vec::new();
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        problems
            .extend(documents.of_kind(kind).map(|document| format!("{}: rights in the whole cluster", name(document))));
    }
    let to_create_events = json!([{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]);
    for role in documents.of_kind("Role") {
        if role.pointer("/rules") != Some(&to_create_events) {
            problems.push(format!("{}: it allows more than to create events", name(role)));
        }
    }
    let mut holders: Vec<&str> = Vec::new();
    let pods = pods(documents);
    for pod in pods.iter().filter(|pod| pod.holds_token()) {
        let account = text(pod.spec, "/serviceAccountName");
        holders.push(account);
        if !documents.of_kind("RoleBinding").any(|binding| is_for(binding, account)) {
            problems.push(format!("{}: it holds a token of the cluster's API without any right", pod.owner));
        }
    }
    for binding in documents.of_kind("RoleBinding") {
        let role = text(binding, "/roleRef/name");
        if text(binding, "/roleRef/kind") != "Role" || !documents.is_there("Role", role) {
            problems.push(format!("{}: there is no Role/{role}", name(binding)));
        }
        if !holders.iter().any(|account| is_for(binding, account)) {
            problems.push(format!("{}: it gives rights to nobody who holds a token", name(binding)));
        }
    }
    problems
}

/// The account of our namespace and nobody else; without a namespace the API takes no account.
fn is_for(binding: &Value, account: &str) -> bool {
    let ours = text(binding, "/metadata/namespace");
    let wanted = json!([{"kind": "ServiceAccount", "name": account, "namespace": ours}]);
    binding.pointer("/subjects") == Some(&wanted)
}

fn of_pod(pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            problems.push(format!("{}: {what}", pod.owner));
        }
    };
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        expect(pod.spec.get(host).is_none_or(|value| value == &json!(false)), &format!("{host} is not restricted"));
    }
    let token = pod.spec.pointer("/automountServiceAccountToken");
    expect(token == Some(&json!(false)), "it is given a token of the cluster's API unasked");
    let of_pod = pod.spec.pointer("/securityContext").unwrap_or(&Value::Null);
    expect(of_pod.get("runAsNonRoot") == Some(&json!(true)), "runAsNonRoot is not true");
    expect(of_pod.get("runAsUser").and_then(Value::as_u64).is_some_and(|user| user > 0), "it names no user but root");
    expect(text(of_pod, "/seccompProfile/type") == "RuntimeDefault", "it has no seccomp profile");
    for volume in list(pod.spec, "/volumes") {
        let sources = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let other = sources.filter(|key| *key != "name" && !VOLUMES.contains(key));
        other.for_each(|source| expect(false, &format!("a volume of {source} is not restricted")));
    }
    for container in pod.containers() {
        let context = container.pointer("/securityContext").unwrap_or(&Value::Null);
        expect(context.get("allowPrivilegeEscalation") == Some(&json!(false)), "privileges may grow");
        expect(context.get("privileged").is_none_or(|value| value == &json!(false)), "a container is privileged");
        expect(context.get("readOnlyRootFilesystem") == Some(&json!(true)), "its root file system can be written");
        expect(context.pointer("/capabilities/drop") == Some(&json!(["ALL"])), "capabilities are not all dropped");
        expect(context.pointer("/capabilities/add").is_none(), "capabilities are added");
        let root = context.get("runAsUser") == Some(&json!(0)) || context.get("runAsNonRoot") == Some(&json!(false));
        expect(!root, "a container runs as root");
    }
    problems
}
