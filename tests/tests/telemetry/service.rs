//! A coordinator and two workers as an operator starts them, with metrics and, where it is asked for, spans.
//!
//! It must never leave a process behind.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::audit::{DEADLINE, binary};
use crate::drill::Drill;

const TOKEN: &str = "a token for tests only";
const WORKERS: usize = 2;
/// Long enough that a busy machine has no worker given up.
const CALM_HEARTBEAT_MS: &str = "5000";
/// Between two looks at what a process wrote.
pub const LOOK: Duration = Duration::from_millis(20);

pub struct Service {
    address: String,
    coordinator: Part,
    workers: Vec<Part>,
    collector: Option<String>,
}

/// A process; it goes with its test.
pub struct Part {
    child: Child,
    log: PathBuf,
    pub metrics: SocketAddr,
}

impl Part {
    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).expect("is told");
        let by = Instant::now() + DEADLINE;
        while matches!(self.child.try_wait(), Ok(None)) {
            assert!(Instant::now() < by, "it did not stop; {}", read(&self.log));
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Service {
    pub fn start(drill: &Drill, collector: Option<&str>) -> Self {
        let folder = drill.path("service");
        std::fs::create_dir(&folder).expect("makes a folder");
        let collector = collector.map(str::to_owned);
        let told = collector.as_deref().into_iter().flat_map(|collector| ["--otlp", collector]);
        let arguments: Vec<&str> = ["--heartbeat-ms", CALM_HEARTBEAT_MS].into_iter().chain(told).collect();
        let (coordinator, address) = coordinator(&folder, "coordinator", &arguments);
        let worker = |number| {
            let mut command = command("lethe-worker");
            command.args(collector.as_deref().into_iter().flat_map(|collector| ["--otlp", collector]));
            command.args(["--coordinator", &address, "--id", &format!("w{number}"), "--device", "cpu"]);
            let (child, log) = spawn(command, &folder, &format!("w{number}.log"));
            Part { child, metrics: metrics_address(&log), log }
        };
        let workers = (0..WORKERS).map(worker).collect();
        Self { address, coordinator, workers, collector }
    }

    pub fn coordinator(&self) -> SocketAddr {
        self.coordinator.metrics
    }

    pub fn workers(&self) -> Vec<SocketAddr> {
        self.workers.iter().map(|worker| worker.metrics).collect()
    }

    /// Runs an audit of a spec to its end.
    pub fn audit(&self, spec: &Path) {
        let mut command = Command::new(binary("lethe"));
        command.arg("submit").arg(spec).arg("--follow").env("LETHE_COORDINATOR", &self.address);
        command.envs(self.collector.iter().map(|collector| ("OTEL_EXPORTER_OTLP_ENDPOINT", collector)));
        let output = command.env("LETHE_TOKEN", TOKEN).output().expect("runs");
        // What a drill of this size comes to is not looked at here.
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}\n{}", said(&output), self.account());
    }

    /// Every line of all logs, which are JSON.
    pub fn log_lines(&self) -> Vec<Value> {
        let logs = std::iter::once(&self.coordinator).chain(&self.workers).map(|part| read(&part.log));
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?} is no JSON: {e}"));
        logs.flat_map(|text| text.lines().map(line).collect::<Vec<Value>>()).collect()
    }

    /// Stops all, workers first.
    pub fn stop(self) {
        self.workers.into_iter().chain(std::iter::once(self.coordinator)).for_each(Part::stop);
    }

    pub fn account(&self) -> String {
        std::iter::once(&self.coordinator).chain(&self.workers).map(|part| read(&part.log)).collect()
    }
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// One that is to run with these arguments, and where it listens.
pub fn coordinator(folder: &Path, name: &str, arguments: &[&str]) -> (Part, String) {
    let mut command = command("lethe-coordinator");
    command.args(["--work", "work", "--results", "results"]).args(arguments).stdout(Stdio::piped());
    let (mut child, log) = spawn(command, folder, &format!("{name}.log"));
    let mut line = String::new();
    let stdout = child.stdout.take().expect("is piped");
    BufReader::new(stdout).read_line(&mut line).expect("reads a line");
    let address = format!("http://{}", line.trim().strip_prefix("listening on ").expect("says where"));
    (Part { child, metrics: metrics_address(&log), log }, address)
}

fn command(program: &str) -> Command {
    let mut command = Command::new(binary(program));
    command
        .args(["--metrics", "127.0.0.1:0", "--log-json"])
        .env("LETHE_TOKEN", TOKEN)
        .env("LETHE_LOG", "debug,h2=info");
    command
}

fn spawn(mut command: Command, folder: &Path, log: &str) -> (Child, PathBuf) {
    let log = folder.join(log);
    let file = std::fs::File::create(&log).expect("makes a log");
    let child = command.current_dir(folder).stdin(Stdio::null()).stderr(file).spawn().expect("starts");
    (child, log)
}

/// Where it says in its log that it serves them.
fn metrics_address(log: &Path) -> SocketAddr {
    let by = Instant::now() + DEADLINE;
    loop {
        let text = read(log);
        let told = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let address = told
            .filter(|line| line["fields"]["message"] == "metrics are served")
            .find_map(|line| line["fields"]["address"].as_str().and_then(|address| address.parse().ok()));
        if let Some(address) = address {
            return address;
        }
        assert!(Instant::now() < by, "no metrics are served: {text}");
        std::thread::sleep(LOOK);
    }
}
