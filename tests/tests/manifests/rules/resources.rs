//! Requests and limits, the room of volumes, and images that stay what they are.

use serde_json::{Value, json};

use crate::documents::{Documents, list, quantity, text};
use crate::pods::{Pod, pods};

pub fn check(documents: &Documents) -> Vec<String> {
    pods(documents).iter().flat_map(|pod| containers(pod).into_iter().chain(volumes(pod))).collect()
}

fn containers(pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    for container in pod.containers() {
        let at = |path: &str| container.pointer(path).and_then(quantity);
        for path in ["requests/cpu", "requests/memory", "limits/memory"] {
            if at(&format!("/resources/{path}")).is_none() {
                problems.push(format!("{}: resources have no {path}", pod.owner));
            }
        }
        for (name, asked) in container.pointer("/resources/requests").and_then(Value::as_object).into_iter().flatten() {
            let limit = container.pointer("/resources/limits").and_then(|limits| limits.get(name)).and_then(quantity);
            if limit.zip(quantity(asked)).is_some_and(|(limit, asked)| asked > limit) {
                problems.push(format!("{}: it asks for more {name} than it may have", pod.owner));
            }
        }
        let image = text(container, "/image");
        let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
        if tag.is_empty() || tag == "latest" {
            problems.push(format!("{}: the image {image:?} has no tag that stays", pod.owner));
        }
    }
    problems
}

/// What lies in a memory volume counts in the limit: the rest must still be what the container asks for.
fn volumes(pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut in_memory = 0.0;
    for volume in list(pod.spec, "/volumes") {
        let Some(folder) = volume.pointer("/emptyDir") else { continue };
        let name = text(volume, "/name");
        match folder.get("sizeLimit").and_then(quantity) {
            None => problems.push(format!("{}: volume {name} has no sizeLimit", pod.owner)),
            Some(size) if text(folder, "/medium") == "Memory" => in_memory += size,
            Some(_) => {}
        }
    }
    let sum = |path: &str| pod.containers().filter_map(|c| c.pointer(path).and_then(quantity)).sum::<f64>();
    let (limit, asked) = (sum("/resources/limits/memory"), sum("/resources/requests/memory"));
    if limit < asked + in_memory {
        problems
            .push(format!("{}: its memory limit does not hold its memory volumes beside what it asks for", pod.owner));
    }
    if text(pod.labels, "/app.kubernetes.io~1component") == "worker" {
        let mounts = pod.containers().flat_map(|container| list(container, "/volumeMounts"));
        let shm = mounts.filter(|mount| text(mount, "/mountPath") == "/dev/shm").map(|mount| text(mount, "/name"));
        let memory = |name: &str| {
            let mut volumes = list(pod.spec, "/volumes").iter();
            volumes.any(|v| text(v, "/name") == name && v.pointer("/emptyDir/medium") == Some(&json!("Memory")))
        };
        if !shm.into_iter().any(memory) {
            problems.push(format!("{}: /dev/shm is the runtime's 64 MiB", pod.owner));
        }
    }
    problems
}
