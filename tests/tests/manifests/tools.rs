//! Runs `scripts/kube.py`, by the tools that `scripts/kube.sh` fetches, and the binaries of this build.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::documents::Documents;

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("lies in the workspace")
}

/// The folder of the manifests.
pub fn k8s() -> PathBuf {
    root().join("k8s")
}

pub fn render(overlay: &str) -> Documents {
    render_folder(&k8s().join("overlays").join(overlay))
}

pub fn render_folder(folder: &Path) -> Documents {
    let documents: Vec<Value> = answer(&["render", &folder.to_string_lossy()], &Value::Null);
    assert!(documents.len() > 20, "{} renders to {} documents alone", folder.display(), documents.len());
    Documents::new(documents)
}

/// The documents of a file of this repository.
pub fn read(path: &str) -> Vec<Value> {
    answer(&["read", &root().join(path).to_string_lossy()], &Value::Null)
}

/// For each document what is wrong with it, or nothing where there is no schema of its kind.
pub fn validate(documents: &Documents, minor: &str) -> Vec<Option<Vec<String>>> {
    let answers: Vec<Option<Vec<String>>> = answer(&["validate", minor], &Value::Array(documents.all().to_vec()));
    assert_eq!(answers.len(), documents.all().len(), "the validator left documents out");
    answers
}

fn answer<T: serde::de::DeserializeOwned>(arguments: &[&str], input: &Value) -> T {
    let kube = std::env::var_os("KUBE").expect("KUBE is not set; run scripts/kube.sh and set KUBE to what it prints");
    let mut command = Command::new("python3");
    command.arg(root().join("scripts/kube.py")).args(arguments).env("KUBE", kube);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("runs python3");
    let mut stdin = child.stdin.take().expect("is piped");
    stdin.write_all(input.to_string().as_bytes()).expect("takes the documents");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "kube.py {arguments:?} failed (its message is above)");
    serde_json::from_slice(&output.stdout).expect("answers in JSON")
}

/// What a program says to its arguments, in an environment without any of ours.
pub fn run(program: &str, arguments: &[String]) -> Output {
    let path = if program == "etcd" { etcd() } else { binary(program) };
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null());
    for variable in ["LETHE_TOKEN", "LETHE_TLS", "LETHE_COORDINATOR"] {
        command.env_remove(variable);
    }
    command.output().expect("runs")
}

fn etcd() -> PathBuf {
    std::env::var_os("ETCD").map_or_else(|| "etcd".into(), PathBuf::from)
}

/// A binary of this build: it lies above the folder of the tests' own.
fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("has a path");
    let found = own.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {name} lies above {}; build it with `make build`", own.display()))
}
