//! What pods name exists: settings and their keys, secrets, claims, accounts, volumes.

use serde_json::Value;

use crate::documents::{Documents, list, text};
use crate::pods::{Pod, pods};

/// Secrets that whoever installs makes, since they hold what no manifest may: the overlay's, and that of docs/operations.md.
const MADE_BY_HAND: [&str; 2] = ["lethe-bucket", "lethe-shards"];

pub fn check(documents: &Documents) -> Vec<String> {
    pods(documents).iter().flat_map(|pod| of_pod(documents, pod)).collect()
}

fn of_pod(documents: &Documents, pod: &Pod<'_>) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    let account = text(pod.spec, "/serviceAccountName");
    if !documents.is_there("ServiceAccount", account) {
        missing.push(format!("ServiceAccount/{account}"));
    }
    for volume in list(pod.spec, "/volumes") {
        missing.extend(source(documents, volume));
    }
    for container in pod.containers() {
        for variable in list(container, "/env") {
            missing.extend(key(documents, variable));
        }
        for from in list(container, "/envFrom") {
            let secret = text(from, "/secretRef/name");
            if !MADE_BY_HAND.contains(&secret) && !documents.is_there("Secret", secret) {
                missing.push(format!("Secret/{secret}"));
            }
        }
        for mount in list(container, "/volumeMounts") {
            let name = text(mount, "/name");
            let claims = list(pod.document, "/spec/volumeClaimTemplates").iter().map(|c| text(c, "/metadata/name"));
            let mut known = list(pod.spec, "/volumes").iter().map(|volume| text(volume, "/name")).chain(claims);
            if !known.any(|known| known == name) {
                missing.push(format!("volume {name}"));
            }
        }
    }
    missing.into_iter().map(|what| format!("{}: there is no {what}", pod.owner)).collect()
}

fn source(documents: &Documents, volume: &Value) -> Option<String> {
    let secret = text(volume, "/secret/secretName");
    // Certificates become secrets.
    let made = documents.of_kind("Certificate").any(|certificate| text(certificate, "/spec/secretName") == secret);
    if volume.pointer("/secret").is_some() && !made && !documents.is_there("Secret", secret) {
        return Some(format!("Secret/{secret}"));
    }
    // Every namespace has this one.
    let projected = list(volume, "/projected/sources").iter().map(|source| text(source, "/configMap/name"));
    if let Some(other) = projected.into_iter().find(|name| !["", "kube-root-ca.crt"].contains(name)) {
        return Some(format!("ConfigMap/{other}"));
    }
    for (path, kind) in
        [("/configMap/name", "ConfigMap"), ("/persistentVolumeClaim/claimName", "PersistentVolumeClaim")]
    {
        if let Some(name) = volume.pointer(path).and_then(Value::as_str)
            && !documents.is_there(kind, name)
        {
            return Some(format!("{kind}/{name}"));
        }
    }
    None
}

fn key(documents: &Documents, variable: &Value) -> Option<String> {
    let reference = variable.pointer("/valueFrom/configMapKeyRef")?;
    let (map, key) = (text(reference, "/name"), text(reference, "/key"));
    let Some(found) = documents.find("ConfigMap", map) else { return Some(format!("ConfigMap/{map}")) };
    let has = found.pointer("/data").and_then(|data| data.get(key)).is_some();
    (!has).then(|| format!("key {key:?} of ConfigMap/{map}"))
}
