//! `lethe pki`: files that fit, modes, and what it says to input it cannot use.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn pki(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
    command.current_dir(folder).arg("pki").args(arguments).output().expect("runs")
}

fn said(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = pki(folder, arguments);
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(code), "{arguments:?}: {text}");
    text
}

#[test]
fn a_certificate_says_who_it_is_and_its_key_is_nobody_elses() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let folder = folder.path();
    assert!(said(folder, 0, &["init", "pki"]).contains("next: lethe pki issue pki"));
    let issue = ["issue", "pki", "--role", "worker", "--name", "gpu", "--out", "gpu"];
    assert!(said(folder, 0, &issue).contains("spiffe://lethe/worker/gpu"));
    for key in ["pki/ca.key", "gpu/tls.key"] {
        let mode = std::fs::metadata(folder.join(key)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let shown = said(folder, 0, &["show", "gpu", "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("is JSON");
    assert_eq!((&shown["role"], &shown["name"], &shown["believed"]), (&"worker".into(), &"gpu".into(), &true.into()));
    assert!([89, 90].contains(&shown["days"].as_i64().expect("is a number")), "{shown}");

    let key = std::fs::read(folder.join("gpu/tls.key")).expect("reads");
    assert!(said(folder, 2, &issue).contains("is there already"));
    assert_eq!(std::fs::read(folder.join("gpu/tls.key")).expect("reads"), key, "it was overwritten");
    said(folder, 0, &[&issue[..], &["--renew"]].concat());
    assert_ne!(std::fs::read(folder.join("gpu/tls.key")).expect("reads"), key);
    assert!(said(folder, 2, &["init", "pki"]).contains("is there already"));
}

#[test]
fn what_does_not_fit_is_told() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let folder = folder.path();
    let issue = |role: &str, more: &[&str]| {
        let words = ["issue", "pki", "--role", role, "--out", "it", "--name", "it"];
        said(folder, 2, &[&words[..], more].concat())
    };
    assert!(issue("worker", &[]).contains("pki/ca.crt"), "there is no authority");
    said(folder, 0, &["init", "pki"]);
    assert!(issue("worker", &["--host", "h"]).contains("--host is for coordinators"));
    assert!(issue("coordinator", &["--host", "no host"]).contains("\"no host\" is no host"));
    assert!(
        said(folder, 2, &["issue", "pki", "--role", "viewer", "--out", "it", "--name", "a/b"]).contains("is no name")
    );
    // Of another authority: read, and not believed.
    said(folder, 0, &["issue", "pki", "--role", "viewer", "--out", "eve", "--name", "eve"]);
    said(folder, 0, &["init", "other"]);
    std::fs::copy(folder.join("other/ca.crt"), folder.join("eve/ca.crt")).expect("copies");
    assert!(said(folder, 1, &["show", "eve"]).contains("not believed by its own ca.crt"));
    // The key of another.
    said(folder, 0, &["issue", "pki", "--role", "viewer", "--out", "bob", "--name", "bob"]);
    std::fs::copy(folder.join("bob/tls.key"), folder.join("eve/tls.key")).expect("copies");
    assert!(said(folder, 2, &["show", "eve"]).contains("do not fit together"));
    std::fs::write(folder.join("eve/tls.key"), "secret words that are no key").expect("writes");
    let broken = said(folder, 2, &["show", "eve"]);
    assert!(broken.contains("no private key") && !broken.contains("secret words"), "{broken}");
}
