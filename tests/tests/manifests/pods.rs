//! The pods that an overlay's documents make, and their containers' command lines.

use serde_json::Value;

use crate::documents::{self, Documents, list, text};

/// A pod as its owner makes it.
pub struct Pod<'a> {
    /// Kind and name of its owner.
    pub owner: String,
    pub owner_name: &'a str,
    pub document: &'a Value,
    pub labels: &'a Value,
    pub spec: &'a Value,
    pub replicas: u64,
}

/// A port of a pod, by number and by name.
pub struct Port<'a> {
    pub name: &'a str,
    pub number: u64,
}

impl Pod<'_> {
    pub fn containers(&self) -> impl Iterator<Item = &Value> {
        ["/initContainers", "/containers"].into_iter().flat_map(|path| list(self.spec, path))
    }

    pub fn ports(&self) -> Vec<Port<'_>> {
        let ports = self.containers().flat_map(|container| list(container, "/ports"));
        let port = |port| Port { name: text(port, "/name"), number: documents_number(port, "/containerPort") };
        ports.map(port).collect()
    }

    /// Whether it is given a token of the cluster's API.
    pub fn holds_token(&self) -> bool {
        let mut sources = list(self.spec, "/volumes").iter().flat_map(|volume| list(volume, "/projected/sources"));
        sources.any(|source| source.get("serviceAccountToken").is_some())
    }

    /// The number of a port that is given by name or by number.
    pub fn port(&self, given: &Value) -> Option<u64> {
        match given {
            Value::String(name) => self.ports().iter().find(|port| port.name == name).map(|port| port.number),
            number => number.as_u64(),
        }
    }
}

fn documents_number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

pub fn pods(documents: &Documents) -> Vec<Pod<'_>> {
    let mut found = Vec::new();
    for document in documents.all() {
        let path = match documents::kind(document) {
            "StatefulSet" | "Deployment" | "DaemonSet" | "Job" => "/spec/template",
            "CronJob" => "/spec/jobTemplate/spec/template",
            "Pod" => "",
            _ => continue,
        };
        let template = document.pointer(path).unwrap_or(&Value::Null);
        found.push(Pod {
            owner: documents::name(document),
            owner_name: text(document, "/metadata/name"),
            document,
            labels: template.pointer("/metadata/labels").unwrap_or(&Value::Null),
            spec: template.pointer("/spec").unwrap_or(&Value::Null),
            replicas: document.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1),
        });
    }
    found
}

/// A container's program and arguments, with its variables put in as the kubelet does; a message where one is missing.
pub fn command_line(documents: &Documents, pod: &Pod<'_>, container: &Value) -> Result<(String, Vec<String>), String> {
    let mut words = Vec::new();
    for word in list(container, "/command").iter().chain(list(container, "/args")) {
        let mut word = word.as_str().unwrap_or_default().to_owned();
        for variable in list(container, "/env") {
            let reference = format!("$({})", text(variable, "/name"));
            if word.contains(&reference) {
                word = word.replace(&reference, &value(documents, pod, variable)?);
            }
        }
        if let Some(start) = word.find("$(") {
            return Err(format!("{}: {:?} is no variable of the container", pod.owner, &word[start..]));
        }
        words.push(word);
    }
    if words.is_empty() {
        return Err(format!("{}: a container has no command", pod.owner));
    }
    Ok((words.remove(0), words))
}

fn value(documents: &Documents, pod: &Pod<'_>, variable: &Value) -> Result<String, String> {
    if let Some(plain) = variable.pointer("/value").and_then(Value::as_str) {
        return Ok(plain.to_owned());
    }
    match text(variable, "/valueFrom/fieldRef/fieldPath") {
        "" => {}
        "status.hostIP" | "status.podIP" => return Ok("198.18.77.9".to_owned()), // of the block for benchmarks
        "metadata.name" => return Ok(format!("{}-0", pod.owner_name)),
        // The minutes since 1970 of the time that it was due.
        "metadata.labels['batch.kubernetes.io/job-name']" => return Ok(format!("{}-29931960", pod.owner_name)),
        "metadata.labels['batch.kubernetes.io/controller-uid']" => {
            return Ok("6f1c2a3e-0000-4000-8000-000000000001".to_owned());
        }
        other => return Err(format!("{}: nobody knows the field {other}", pod.owner)),
    }
    let (map, key) =
        (text(variable, "/valueFrom/configMapKeyRef/name"), text(variable, "/valueFrom/configMapKeyRef/key"));
    let found = documents.find("ConfigMap", map).and_then(|map| map.pointer("/data")?.get(key)?.as_str());
    found.map(str::to_owned).ok_or_else(|| format!("{}: ConfigMap/{map} has no key {key:?}", pod.owner))
}
