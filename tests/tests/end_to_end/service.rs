//! Coordinator and workers over TLS as real processes, and the people who use them.
//!
//! No process may outlive its test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::audit::binary;
use crate::drill::Drill;

/// A process of the service; it goes with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub struct Service {
    pub folder: PathBuf,
    pub address: String,
    _parts: Vec<Server>,
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn pki(folder: &Path, arguments: &[&str]) {
    let output = Command::new(binary("lethe")).arg("pki").args(arguments).current_dir(folder).output().expect("runs");
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
}

/// What processes are started with beside their own: as `MOTO_SERVER`'s credentials.
type Variables<'a> = &'a [(&'static str, String)];

impl Service {
    /// A coordinator, given more words, and two workers.
    pub fn start(drill: &Drill, more: &[&str], variables: Variables<'_>) -> Self {
        let folder = prepared(drill);
        let (coordinator, line) = start(coordinator(drill, more, variables), &folder, "coordinator.log");
        let log = || std::fs::read_to_string(folder.join("coordinator.log")).unwrap_or_default();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}: {}", log()));
        let address = format!("https://{address}");
        let mut parts = vec![coordinator];
        for n in 0..2 {
            let mut worker = Command::new(binary("lethe-worker"));
            worker.args(["--tls", "cpu", "--id", &format!("cpu-{n}"), "--coordinator", &address, "--device", "cpu"]);
            worker.envs(variables.iter().cloned());
            parts.push(start_quiet(worker, &folder, "worker.log"));
        }
        Self { folder, address, _parts: parts }
    }

    /// What a coordinator says that does not want to start.
    pub fn refused(drill: &Drill, more: &[&str], variables: Variables<'_>) -> String {
        let folder = prepared(drill);
        let mut command = coordinator(drill, more, variables);
        let output = command.current_dir(folder).stdin(Stdio::null()).output().expect("runs");
        assert!(!output.status.success(), "{}", said(&output));
        said(&output)
    }

    /// A command as one of the people runs it.
    pub fn lethe(&self, who: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("lethe"));
        command.args(arguments).current_dir(&self.folder).env_remove("LETHE_TOKEN");
        command.env("LETHE_TLS", who).env("LETHE_COORDINATOR", &self.address).output().expect("runs")
    }

    pub fn account(&self) -> String {
        ["coordinator.log", "worker.log"]
            .map(|log| std::fs::read_to_string(self.folder.join(log)).unwrap_or_default())
            .join("\n")
    }
}

/// A folder with everybody's certificates.
fn prepared(drill: &Drill) -> PathBuf {
    let folder = drill.path("service");
    std::fs::create_dir(&folder).expect("makes a folder");
    pki(&folder, &["init", "pki"]);
    for (role, name) in [
        ("coordinator", "lethe-0"),
        ("worker", "cpu"),
        ("submitter", "ann"),
        ("submitter", "bob"),
        ("viewer", "eve"),
        ("admin", "root"),
    ] {
        pki(&folder, &["issue", "pki", "--role", role, "--name", name, "--out", name]);
    }
    folder
}

fn coordinator(drill: &Drill, more: &[&str], variables: Variables<'_>) -> Command {
    let mut command = Command::new(binary("lethe-coordinator"));
    command.args(["--tls", "lethe-0", "--work", "work", "--results", "results", "--root"]).arg(drill.path(""));
    command.args(more).envs(variables.iter().cloned());
    command
}

fn start_quiet(mut command: Command, folder: &Path, log: &str) -> Server {
    let log = std::fs::File::options().create(true).append(true).open(folder.join(log)).expect("opens a log");
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Server(command.spawn().expect("starts"))
}

/// With its first line.
fn start(mut command: Command, folder: &Path, log: &str) -> (Server, String) {
    let log = std::fs::File::create(folder.join(log)).expect("makes a log");
    let mut child =
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("is piped")).read_line(&mut line).expect("reads a line");
    (Server(child), line)
}
