//! One coordinator with its own store, and workers that say of each step when they begin it.
//!
//! It must never leave a process behind, nor fail without its logs.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::audit::{DEADLINE, binary};
use crate::children::{Process, below};
use crate::operator::{Operator, TOKEN};
use crate::part::Part;
use crate::tail::Tail;

/// Between two looks at what a process wrote: much shorter than a step.
pub const GLANCE: Duration = Duration::from_millis(1);
/// Between two questions to the coordinator, which has other things to do.
pub const LOOK: Duration = Duration::from_millis(25);

/// Parts are dropped in this order: workers first, the folder at the very end.
pub struct Cluster {
    workers: Vec<Worker>,
    coordinator: Part,
    pub operator: Operator,
    folder: TempDir,
}

pub struct Worker {
    pub agent: Part,
    pub log: Tail,
}

impl Cluster {
    pub fn start(workers: usize, heartbeat_ms: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("gangs-").tempdir().expect("makes a folder");
        let mut command = command("lethe-coordinator");
        command.args(["--heartbeat-ms", &heartbeat_ms.to_string(), "--work"]).arg(folder.path().join("work"));
        command.arg("--results").arg(folder.path().join("results"));
        let mut coordinator = Part::start("coordinator", command, folder.path());
        let address = listening(&mut coordinator);
        let start = |number| Worker::start(&format!("worker-{number}"), &address, &folder);
        let workers = (0..workers).map(start).collect();
        let operator = Operator::new(&[address], None);
        let cluster = Self { workers, coordinator, operator, folder };
        let joined = || cluster.operator.workers().filter(|all| all.len() == cluster.workers.len());
        seen("all workers joined", LOOK, joined);
        cluster
    }

    pub fn workers(&mut self) -> &mut [Worker] {
        &mut self.workers
    }

    /// The executor of every worker, in their order.
    pub fn executors(&self) -> Vec<Process> {
        let of = |worker: &Worker| below(worker.agent.pid()).into_iter().find(Process::is_executor);
        self.workers.iter().map(|worker| seen("a worker's executor", LOOK, || of(worker))).collect()
    }

    pub fn results(&self, audit: &str) -> PathBuf {
        self.folder.path().join("results").join(audit)
    }
}

impl Worker {
    fn start(name: &str, coordinator: &str, folder: &TempDir) -> Self {
        let mut command = command("lethe-worker");
        command
            .args(["--coordinator", coordinator, "--id", name, "--device", "cpu"])
            .env("LETHE_LOG", "info,lethe_worker=debug");
        let agent = Part::start(name, command, folder.path());
        let log = Tail::of(&folder.path().join(format!("{name}.log")));
        Self { agent, log }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let agents = self.workers.iter().map(|worker| &worker.agent);
            let tails = std::iter::once(&self.coordinator).chain(agents).map(Part::tail);
            eprintln!("the audits: {:#?}\n{}", self.operator.audits(), tails.collect::<String>());
        }
    }
}

/// Looks until there is something to see, at most until the deadline.
pub fn seen<T>(what: &str, every: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let by = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < by, "waited for {what} for {DEADLINE:?}");
        std::thread::sleep(every);
    }
}

/// A program of this build, with the token.
fn command(program: &str) -> Command {
    let mut command = Command::new(binary(program));
    command.env("LETHE_TOKEN", TOKEN).env("NO_COLOR", "1").env("RUST_LIB_BACKTRACE", "0");
    command
}

/// Where it says that it listens.
fn listening(coordinator: &mut Part) -> String {
    let mut line = String::new();
    BufReader::new(coordinator.stdout()).read_line(&mut line).expect("reads a line");
    let address = line.trim().strip_prefix("listening on ");
    format!("http://{}", address.unwrap_or_else(|| panic!("it does not listen: {line:?}\n{}", coordinator.tail())))
}
