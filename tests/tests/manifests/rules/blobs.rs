//! Where blobs lie: in one folder that coordinators and workers mount alike, or in a bucket that both may reach.

use serde_json::Value;

use crate::documents::{Documents, list, text};
use crate::pods::{Pod, command_line, pods};
use crate::selectors::selects;

pub fn check(documents: &Documents) -> Vec<String> {
    let pods = pods(documents);
    let of = |component: &str| pods.iter().find(|pod| text(pod.labels, "/app.kubernetes.io~1component") == component);
    let (Some(coordinator), Some(worker)) = (of("coordinator"), of("worker")) else {
        return vec!["no pods of coordinators and workers".to_owned()];
    };
    let Some(root) = argument(documents, coordinator, "--blobs=") else {
        return of_folder(documents, coordinator, worker);
    };
    match root.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3" | "gs" | "az") => [coordinator, worker].iter().flat_map(|pod| of_bucket(documents, pod)).collect(),
        Some("file") => of_folder(documents, coordinator, worker),
        Some(_) | None => vec![format!("{}: {root} is no place of blobs", coordinator.owner)],
    }
}

/// Blobs have whole paths: the same claim, at the same path, to be written.
fn of_folder(documents: &Documents, coordinator: &Pod<'_>, worker: &Pod<'_>) -> Vec<String> {
    let work = argument(documents, coordinator, "--work=").unwrap_or_default();
    let (own, theirs) = (claim(coordinator, &work), claim(worker, &work));
    let mut problems = Vec::new();
    if own.is_none() || own != theirs {
        let told = |claim: Option<&str>| claim.unwrap_or("no claim").to_owned();
        problems.push(format!(
            "blobs lie in {work}, which is {} of coordinators and {} of workers",
            told(own),
            told(theirs)
        ));
    }
    problems
}

/// Workers write too, and a folder that one pod alone has would be taken for shared.
fn of_bucket(documents: &Documents, pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    let secrets = pod.containers().flat_map(|container| list(container, "/envFrom"));
    let has_secret = secrets.into_iter().any(|from| !text(from, "/secretRef/name").is_empty());
    if !has_secret {
        problems.push(format!("{}: blobs lie in a bucket, and no secret has its credentials", pod.owner));
    }
    let claims = list(pod.spec, "/volumes").iter().map(|volume| text(volume, "/persistentVolumeClaim/claimName"));
    if claims.into_iter().any(|claim| claim == "lethe-work") {
        problems.push(format!("{}: blobs lie in a bucket, and it mounts the folder for them", pod.owner));
    }
    if !leaves(documents, pod) {
        problems.push(format!("{}: blobs lie in a bucket, and no policy lets it out to port 443", pod.owner));
    }
    problems
}

/// Whether a policy lets a pod out to addresses of the world, but not to a cloud's metadata.
fn leaves(documents: &Documents, pod: &Pod<'_>) -> bool {
    let mut policies = documents
        .of_kind("NetworkPolicy")
        .filter(|policy| selects(policy.pointer("/spec/podSelector").unwrap_or(&Value::Null), pod.labels));
    policies.any(|policy| {
        list(policy, "/spec/egress").iter().any(|rule| {
            let blocks = list(rule, "/to").iter().filter(|peer| peer.pointer("/ipBlock").is_some());
            let is_guarded = |block: &Value| list(block, "/ipBlock/except").iter().any(|e| e == "169.254.0.0/16");
            let is_https =
                list(rule, "/ports").iter().any(|port| port.pointer("/port") == Some(&serde_json::json!(443)));
            is_https && blocks.into_iter().any(is_guarded)
        })
    })
}

/// The claim that is mounted at a path, to be written.
fn claim<'a>(pod: &Pod<'a>, path: &str) -> Option<&'a str> {
    let mounts = list(pod.spec, "/containers").iter().flat_map(|container| list(container, "/volumeMounts"));
    let mount =
        mounts.into_iter().find(|mount| text(mount, "/mountPath") == path && mount.get("readOnly").is_none())?;
    let volume = list(pod.spec, "/volumes").iter().find(|volume| text(volume, "/name") == text(mount, "/name"))?;
    volume.pointer("/persistentVolumeClaim/claimName")?.as_str()
}

fn argument(documents: &Documents, pod: &Pod<'_>, flag: &str) -> Option<String> {
    let lines = pod.containers().filter_map(|container| command_line(documents, pod, container).ok());
    lines.flat_map(|(_, words)| words).find_map(|word| word.strip_prefix(flag).map(str::to_owned))
}
