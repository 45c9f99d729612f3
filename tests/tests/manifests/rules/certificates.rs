//! Certificates name who they are for as `docs/security.md` says, and cover every name that is dialled.

use serde_json::Value;

use crate::documents::{self, Documents, list, text};
use crate::pods::{Pod, command_line, pods};

const ROLES: [&str; 5] = ["admin", "submitter", "viewer", "worker", "coordinator"];
/// Whose certificates name parties of ours.
const AUTHORITY: &str = "lethe-authority";
/// What etcd serves, it serves whomever this has certified.
const OF_ETCD: &str = "lethe-etcd-authority";

pub fn check(documents: &Documents) -> Vec<String> {
    let leaves = documents.of_kind("Certificate").filter(|certificate| certificate.pointer("/spec/isCA").is_none());
    let mut problems: Vec<String> = leaves.flat_map(leaf).collect();
    for certificate in documents.of_kind("Certificate") {
        let issuer = text(certificate, "/spec/issuerRef/name");
        if !documents.is_there(text(certificate, "/spec/issuerRef/kind"), issuer) {
            problems.push(format!("{}: there is no issuer {issuer}", documents::name(certificate)));
        }
    }
    problems.extend(pods(documents).iter().flat_map(|pod| of_pod(documents, pod)));
    problems.extend(pods(documents).iter().filter_map(|pod| store(documents, pod)));
    problems
}

fn leaf(certificate: &Value) -> Vec<String> {
    let name = documents::name(certificate);
    let mut problems = Vec::new();
    if text(certificate, "/spec/issuerRef/name") != AUTHORITY {
        return wildcards(certificate).collect();
    }
    let [uri] = list(certificate, "/spec/uris") else {
        return vec![format!("{name}: expected one URI, which says who it is")];
    };
    let path = uri.as_str().unwrap_or_default().strip_prefix("spiffe://lethe/").unwrap_or_default();
    let role = path.split('/').next().unwrap_or_default();
    if !ROLES.contains(&role) || path.split('/').count() != 2 {
        problems.push(format!("{name}: {uri} is not spiffe://lethe/ROLE/NAME of a role that there is"));
    }
    let usages = list(certificate, "/spec/usages");
    let mut needed = vec!["client auth"];
    needed.extend((role == "coordinator").then_some("server auth"));
    let lacking = needed.into_iter().filter(|usage| !usages.iter().any(|found| found == usage));
    problems.extend(lacking.map(|usage| format!("{name}: it lacks the usage {usage}")));
    problems.extend(wildcards(certificate));
    problems
}

/// Browsers and webpki alike believe `*` only before two names or more.
fn wildcards(certificate: &Value) -> impl Iterator<Item = String> {
    let dns = list(certificate, "/spec/dnsNames").iter().filter_map(Value::as_str);
    let short = dns.filter(|name| name.starts_with("*.") && name.split('.').count() < 3);
    short.map(|dns| format!("{}: nobody believes the wildcard {dns}", documents::name(certificate)))
}

/// The certificate that a pod mounts is of its component's role, and covers what the pod announces.
fn of_pod(documents: &Documents, pod: &Pod<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    let volumes = list(pod.spec, "/volumes").iter().filter(|volume| volume.pointer("/secret").is_some());
    for secret in volumes.map(|volume| text(volume, "/secret/secretName")) {
        let mut all = documents.of_kind("Certificate");
        // A secret that is not there is told by rules::references.
        let Some(certificate) = all.find(|found| text(found, "/spec/secretName") == secret) else { continue };
        let names: Vec<&str> = list(certificate, "/spec/dnsNames").iter().filter_map(Value::as_str).collect();
        if text(certificate, "/spec/issuerRef/name") == OF_ETCD {
            problems.extend(of_store(documents, pod, (certificate, &names)));
            continue;
        }
        if text(pod.labels, "/app.kubernetes.io~1component") == "etcd" {
            problems.push(format!("{}: it would serve whoever has a certificate of {AUTHORITY}", pod.owner));
        }
        let uri = list(certificate, "/spec/uris").first().and_then(Value::as_str).unwrap_or_default();
        let role = match text(pod.labels, "/app.kubernetes.io~1component") {
            "client" => "submitter",
            other => other,
        };
        if !uri.starts_with(&format!("spiffe://lethe/{role}/")) {
            problems.push(format!("{}: its certificate is {uri}; expected the role {role}", pod.owner));
        }
        // A worker's id is the certificate's name, or begins with it.
        if role == "worker" && !pod.owner_name.starts_with(uri.rsplit('/').next().unwrap_or_default()) {
            problems.push(format!("{}: its certificate {uri} does not cover its ids", pod.owner));
        }
        problems.extend(uncovered(documents, pod, &names, &["--advertise="]));
    }
    problems
}

/// A member's certificate covers what it announces and is dialled by; a coordinator's is shown to members alone.
fn of_store(documents: &Documents, pod: &Pod<'_>, (certificate, names): (&Value, &[&str])) -> Vec<String> {
    let usages = list(certificate, "/spec/usages");
    let is_member = text(pod.labels, "/app.kubernetes.io~1component") == "etcd";
    let needed: &[&str] = if is_member { &["server auth", "client auth"] } else { &["client auth"] };
    let lacking = needed.iter().filter(|usage| !usages.iter().any(|found| found == *usage));
    let mut problems: Vec<String> =
        lacking.map(|usage| format!("{}: it lacks the usage {usage}", documents::name(certificate))).collect();
    if is_member {
        let asks = ["--client-cert-auth", "--peer-client-cert-auth"];
        let silent = asks.into_iter().filter(|flag| !words(documents, pod).any(|word| word == *flag));
        problems.extend(silent.map(|flag| format!("{}: without {flag} it serves whoever comes", pod.owner)));
        let flags = ["--advertise-client-urls=", "--initial-advertise-peer-urls="];
        problems.extend(uncovered(documents, pod, names, &flags));
    }
    problems
}

/// A coordinator speaks TLS to an etcd that is ours.
fn store(documents: &Documents, pod: &Pod<'_>) -> Option<String> {
    let is_ours = documents.is_there("StatefulSet", "lethe-etcd");
    let in_the_clear = || words(documents, pod).any(|word| word.starts_with("--store=etcd://"));
    (is_ours && in_the_clear()).then(|| format!("{}: it speaks in the clear to an etcd that speaks TLS", pod.owner))
}

fn words(documents: &Documents, pod: &Pod<'_>) -> impl Iterator<Item = String> {
    let lines = pod.containers().filter_map(|container| command_line(documents, pod, container).ok());
    lines.flat_map(|(_, words)| words)
}

/// The hosts that a pod announces by one of these flags, and its certificate lacks.
fn uncovered(documents: &Documents, pod: &Pod<'_>, names: &[&str], flags: &[&str]) -> Vec<String> {
    let hosts = words(documents, pod).filter_map(|word| {
        let address = flags.iter().find_map(|flag| word.strip_prefix(flag))?.strip_prefix("https://")?;
        Some(address.split(':').next()?.to_owned())
    });
    let lacking = hosts.filter(|host| !covered(names, host));
    lacking.map(|host| format!("{}: its certificate does not cover {host}", pod.owner)).collect()
}

fn covered(names: &[&str], host: &str) -> bool {
    let above = host.split_once('.').map(|(_, above)| above).unwrap_or_default();
    names.iter().any(|name| *name == host || name.strip_prefix("*.") == Some(above))
}
