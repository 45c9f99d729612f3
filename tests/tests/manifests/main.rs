//! The Kubernetes manifests: every overlay, held to Kubernetes' own schemas and to what these do not see.
//!
//! A rule must never pass because it found nothing to look at: manifests that are broken on purpose show that each refuses.

mod broken;
mod by_hand;
mod documents;
mod pods;
mod rules;
mod selectors;
mod tools;

use broken::Broken;
use documents::Documents;
use serde_json::Value;

/// What users apply.
const OVERLAYS: [&str; 4] = ["cpu", "gpu", "ha", "bucket"];

/// The oldest minor version that is supported, and the newest that has schemas.
const MINORS: [&str; 2] = ["1.35", "1.37"];

/// Kinds of others, for which Kubernetes has no schema; `rules::custom` knows their fields.
const CUSTOM: [&str; 7] =
    ["Certificate", "Issuer", "ServiceMonitor", "PrometheusRule", "ClusterQueue", "LocalQueue", "ResourceFlavor"];

#[test]
fn every_overlay_fits_the_schemas_of_the_oldest_and_the_newest_kubernetes() {
    for overlay in OVERLAYS {
        let documents = tools::render(overlay);
        for minor in MINORS {
            let problems = schema_problems(&documents, minor);
            assert!(problems.is_empty(), "{overlay} by the schemas of {minor}:\n{}", problems.join("\n"));
        }
    }
}

#[test]
fn every_overlay_keeps_the_rules_that_schemas_do_not_see() {
    for overlay in OVERLAYS {
        let problems = rules::problems(&tools::render(overlay));
        assert!(problems.is_empty(), "{overlay}:\n{}", problems.join("\n"));
    }
}

#[test]
fn every_manifest_that_is_broken_on_purpose_is_refused() {
    refused(broken::OVERLAY, &broken::table());
    refused(broken::OF_BUCKET, &broken::of_bucket());
}

fn refused(overlay: &str, table: &[Broken]) {
    let whole = tools::render(overlay);
    assert!(!table.is_empty(), "nothing is broken in {overlay}");
    let changed: Vec<Documents> = table.iter().map(|broken| broken.apply(&whole)).collect();
    // The schemas see one document at a time: the one that was changed, all of them in one question.
    let looked_at =
        |(broken, changed): (&Broken, &Documents)| broken.document(changed).unwrap_or(&whole.all()[0]).clone();
    let alone = Documents::new(table.iter().zip(&changed).map(looked_at).collect());
    let by_schema = MINORS.map(|minor| tools::validate(&alone, minor));
    let mut passed = Vec::new();
    for (index, (broken, documents)) in table.iter().zip(&changed).enumerate() {
        let mut problems = rules::problems(documents);
        for (minor, answers) in MINORS.iter().zip(&by_schema) {
            problems.extend(told(&alone.all()[index], answers[index].clone(), minor));
        }
        if !problems.iter().any(|problem| problem.contains(broken.message)) {
            passed.push(format!("{}: expected {:?} among {problems:?}", broken.what, broken.message));
        }
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

#[test]
fn every_component_is_in_an_overlay_that_is_looked_at() {
    let folder = tools::k8s();
    let overlays: Vec<String> = OVERLAYS
        .iter()
        .map(|overlay| {
            std::fs::read_to_string(folder.join(format!("overlays/{overlay}/kustomization.yaml"))).expect("is there")
        })
        .collect();
    for entry in std::fs::read_dir(folder.join("components")).expect("lists") {
        let name = entry.expect("is one").file_name().into_string().expect("is text");
        let line = format!("- ../../components/{name}\n");
        assert!(overlays.iter().any(|overlay| overlay.contains(&line)), "no overlay has the component {name}");
    }
    let found = std::fs::read_dir(folder.join("overlays")).expect("lists").count();
    assert_eq!(found, OVERLAYS.len(), "an overlay is not looked at");
}

/// Kustomize reads no file above its own folder, so that these are copies.
#[test]
fn alerts_and_dashboard_are_those_of_ops() {
    let documents = tools::render("gpu");
    let rules = documents.find("PrometheusRule", "lethe").expect("has the alerts");
    assert_eq!(rules["spec"]["groups"], tools::read("ops/alerts.yaml")[0]["groups"], "scripts/kube.py monitoring");
    let shown: Vec<&Value> =
        documents.of_kind("ConfigMap").filter_map(|map| map["data"].get("dashboard.json")).collect();
    let [shown] = shown[..] else { panic!("{} dashboards", shown.len()) };
    let shown: Value = serde_json::from_str(shown.as_str().expect("is text")).expect("is JSON");
    assert_eq!(shown, tools::read("ops/dashboard.json")[0], "scripts/kube.py monitoring");
}

/// etcd 3.4 tells nobody its quota, and nobody tells Prometheus how many members there are to be.
#[test]
fn alerts_have_the_quota_and_the_members_that_etcd_is_given() {
    let documents = tools::render("gpu");
    let etcd = documents.find("StatefulSet", "lethe-etcd").expect("is there");
    let args = documents::list(etcd, "/spec/template/spec/containers/0/args");
    let quota = args.iter().find_map(|word| word.as_str()?.strip_prefix("--quota-backend-bytes="));
    let quota = quota.expect("it is given a quota");
    let alerts = std::fs::read_to_string(tools::root().join("ops/alerts.yaml")).expect("is there");
    assert!(alerts.contains(&format!("lethe_store_used_bytes + {quota})")), "LetheStoreNearlyFull has not {quota}");
    let members = format!("sum(up{{job=\"lethe-etcd\"}}) < {}\n", etcd["spec"]["replicas"]);
    assert!(alerts.contains(&members), "LetheEtcdMemberDown has not {members}");
}

fn schema_problems(documents: &Documents, minor: &str) -> Vec<String> {
    let answers = tools::validate(documents, minor);
    documents.all().iter().zip(answers).flat_map(|(document, answer)| told(document, answer, minor)).collect()
}

/// What a schema's answer comes to.
fn told(document: &Value, answer: Option<Vec<String>>, minor: &str) -> Vec<String> {
    let name = documents::name(document);
    match answer {
        None if CUSTOM.contains(&documents::kind(document)) => Vec::new(),
        None => vec![format!("{name}: {minor} knows no such kind")],
        Some(found) => found.into_iter().map(|problem| format!("{name}: {problem}")).collect(),
    }
}
