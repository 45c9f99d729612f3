//! A service over TLS, by the commands that docs/security.md lists: certificates, a coordinator, workers, and people of three roles.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::audit::binary;
use crate::drill::{Drill, Size};

/// A process of the service; it goes with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

struct Service {
    folder: PathBuf,
    address: String,
    _parts: Vec<Server>,
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn pki(folder: &Path, arguments: &[&str]) {
    let output = Command::new(binary("lethe")).arg("pki").args(arguments).current_dir(folder).output().expect("runs");
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
}

impl Service {
    fn start(drill: &Drill) -> Self {
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
        let mut coordinator = Command::new(binary("lethe-coordinator"));
        coordinator.args(["--tls", "lethe-0", "--work", "work", "--results", "results", "--root"]).arg(drill.path(""));
        let (coordinator, line) = start(coordinator, &folder, "coordinator.log");
        let address = line.trim().strip_prefix("listening on ").expect("says where").to_owned();
        let mut parts = vec![coordinator];
        let address = format!("https://{address}");
        for n in 0..2 {
            let mut worker = Command::new(binary("lethe-worker"));
            worker.args(["--tls", "cpu", "--id", &format!("cpu-{n}"), "--coordinator", &address, "--device", "cpu"]);
            parts.push(start_quiet(worker, &folder, "worker.log"));
        }
        Self { folder, address, _parts: parts }
    }

    /// A command as one of the people runs it.
    fn lethe(&self, who: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("lethe"));
        command.args(arguments).current_dir(&self.folder).env_remove("LETHE_TOKEN");
        command.env("LETHE_TLS", who).env("LETHE_COORDINATOR", &self.address).output().expect("runs")
    }

    fn account(&self) -> String {
        ["coordinator.log", "worker.log"]
            .map(|log| std::fs::read_to_string(self.folder.join(log)).unwrap_or_default())
            .join("\n")
    }
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

#[test]
fn people_of_three_roles_share_a_service_over_tls() {
    let drill = Drill::plant(Size { shards: 3, pairs_per_shard: 100 });
    let service = Service::start(&drill);
    let spec = drill.spec(|spec| spec["unlearn"]["gang"]["steps"] = 4.into());
    // Certificates change under the running service, which nobody notices.
    pki(
        &service.folder,
        &["issue", "pki", "--role", "coordinator", "--name", "lethe-0", "--out", "lethe-0", "--renew"],
    );
    pki(&service.folder, &["issue", "pki", "--role", "worker", "--name", "cpu", "--out", "cpu", "--renew"]);
    let spec = spec.to_string_lossy().into_owned();
    let submitted = service.lethe("ann", &["submit", &spec, "--follow"]);
    assert!(submitted.status.success(), "{}\n{}", said(&submitted), service.account());

    let listed = service.lethe("eve", &["list", "--all"]);
    assert!(said(&listed).contains("ann"), "it has her certificate's name: {}", said(&listed));
    let page = service.lethe("eve", &["fetch", "drill", "report.html", "--out", "eves"]);
    assert!(page.status.success(), "{}", said(&page));
    for (who, arguments, why) in [
        ("eve", vec!["fetch", "drill", "clean.safetensors", "--out", "eves"], "is for ann and admins"),
        ("bob", vec!["fetch", "drill", "drop-list.txt", "--out", "bobs"], "is for ann and admins"),
        ("eve", vec!["submit", &spec], "takes one of role admin or submitter"),
        ("bob", vec!["cancel", "drill"], "drill is ann's"),
        ("cpu", vec!["list"], "expected one of admin, submitter, viewer"),
    ] {
        let refused = service.lethe(who, &arguments);
        assert!(!refused.status.success() && said(&refused).contains(why), "{who} {arguments:?}: {}", said(&refused));
    }
    let fetched = service.lethe("ann", &["fetch", "drill", "--out", "anns"]);
    assert!(fetched.status.success() && service.folder.join("anns/clean.safetensors").is_file(), "{}", said(&fetched));

    let stranger = Command::new(binary("lethe"))
        .args(["list", "--coordinator", &service.address])
        .env_remove("LETHE_TLS")
        .output()
        .expect("runs");
    assert!(stranger.status.code() == Some(2) && said(&stranger).contains("--tls FOLDER"), "{}", said(&stranger));
}
