//! What operators do by hand, as docs/operations.md has it: an overlay of theirs, a restore of etcd, a pod that carries files.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::documents::{self, Documents, list, text};
use crate::pods::{command_line, pods};
use crate::{MINORS, OVERLAYS, rules, schema_problems, tools};

/// How the page begins what its overlay follows.
const OVERLAY: &str = "*An overlay of yours*";
/// What a member is by, and must be restored by.
const OF_A_MEMBER: [&str; 5] =
    ["--name=", "--data-dir=", "--initial-advertise-peer-urls=", "--initial-cluster=", "--initial-cluster-token="];

#[test]
fn the_overlay_on_the_page_renders_and_keeps_the_rules() {
    let folder = tempfile::tempdir().expect("can be made");
    let (checkout, own) = (folder.path().join("lethe"), folder.path().join("mine"));
    for made in [&checkout, &own] {
        std::fs::create_dir(made).expect("can be made");
    }
    let copied = Command::new("cp").arg("-r").arg(tools::k8s()).arg(&checkout).status().expect("runs");
    assert!(copied.success(), "cp failed");
    let shown = block(OVERLAY);
    assert!(shown.contains("kind: Kustomization"), "the page's overlay lies elsewhere: {shown:?}");
    write(&own.join("kustomization.yaml"), &shown);
    write(&own.join("audit.toml"), "[audit]\nid = \"weekly\"\n");

    let documents = tools::render_folder(&own);
    kept(&documents);
    let rendered = Value::Array(documents.all().to_vec()).to_string();
    assert!(!rendered.contains("\"image\":\"lethe"), "an image is not of the registry");
    let changes = [
        "registry.example/lethe-worker-cuda:",
        "id = \\\"weekly\\\"",
        "\"store-urls\":\"s3://my-shards\"",
        "\"secretRef\":{\"name\":\"lethe-shards\"}",
        "\"storageClassName\":\"shared\"",
        "\"timeZone\":\"Europe/Zurich\"",
        "\"release\":\"prometheus\"",
    ];
    for change in changes {
        assert!(rendered.contains(change), "the overlay does not come to {change}");
    }
}

#[test]
fn a_member_of_etcd_is_restored_as_the_one_that_it_is() {
    let file = tools::read("k8s/by-hand/restore.yaml");
    let [patch] = &file[..] else { panic!("expected one patch") };
    let added = &patch["spec"]["template"]["spec"];
    let mut all = tools::render("ha").all().to_vec();
    let etcd = all.iter_mut().find(|document| documents::name(document) == "StatefulSet/lethe-etcd");
    let etcd = etcd.expect("is there");
    let spec = &mut etcd["spec"]["template"]["spec"];
    spec["initContainers"] = added["initContainers"].clone();
    assert_eq!(spec["initContainers"][0]["image"], "IMAGE", "the page's sed puts the image in its place");
    spec["initContainers"][0]["image"] = spec["containers"][0]["image"].clone();
    spec["volumes"].as_array_mut().expect("has some").extend(list(added, "/volumes").iter().cloned());

    let patched = Documents::new(all);
    kept(&patched);
    let pods = pods(&patched);
    let member = pods.iter().find(|pod| pod.owner_name == "lethe-etcd").expect("is there");
    let lines: Vec<(String, Vec<String>)> =
        member.containers().map(|container| command_line(&patched, member, container).expect("is one")).collect();
    let [(first, restored), (then, started)] = &lines[..] else { panic!("expected two containers: {lines:?}") };
    assert_eq!((first.as_str(), then.as_str()), ("etcdctl", "etcd"));
    for flag in OF_A_MEMBER {
        let of = |words: &[String]| words.iter().find(|word| word.starts_with(flag)).cloned();
        assert!(of(restored).is_some(), "it is restored without {flag}");
        assert_eq!(of(restored), of(started), "it is restored as another than it starts as");
    }
}

#[test]
fn the_courier_may_run_in_the_namespace_of_every_overlay() {
    let courier = Documents::new(tools::read("k8s/by-hand/courier.yaml"));
    let problems: Vec<String> = MINORS.iter().flat_map(|minor| schema_problems(&courier, minor)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(pods(&courier).len(), 1, "expected one pod");
    let problems = rules::security_problems(&courier);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let volumes = list(&courier.all()[0], "/spec/volumes");
    assert!(!volumes.is_empty(), "it carries nothing");
    for overlay in OVERLAYS {
        let documents = tools::render(overlay);
        for claim in volumes.iter().map(|volume| text(volume, "/persistentVolumeClaim/claimName")) {
            assert!(documents.is_there("PersistentVolumeClaim", claim), "{overlay} has no claim {claim:?}");
        }
    }
}

/// By the schemas and by every rule.
fn kept(documents: &Documents) {
    let mut problems: Vec<String> = MINORS.iter().flat_map(|minor| schema_problems(documents, minor)).collect();
    problems.extend(rules::problems(documents));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The first block of the page after the line that begins so.
fn block(begin: &str) -> String {
    let page = std::fs::read_to_string(tools::root().join("docs/operations.md")).expect("is there");
    let after = page.lines().skip_while(|line| !line.starts_with(begin));
    let lines = after.skip_while(|line| !line.starts_with("    ")).map_while(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("can be written");
}
