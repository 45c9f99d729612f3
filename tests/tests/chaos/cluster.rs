//! A whole control plane of real processes: three etcd members, two coordinators, the workers, one folder for all.
//!
//! It must never leave a process behind, nor fail without its logs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lethe_proto::v1::{AuditView, PhaseView, RunState, WorkerView};
use lethe_servers::{EtcdCluster, EtcdOptions};
use lethe_tls::authority::{Authority, Existing, Request};
use lethe_tls::{Identity, Role};
use tempfile::TempDir;

use crate::audit::{DEADLINE, binary};
use crate::disk::Disk;
use crate::network::{Net, Network, Place};
use crate::operator::{Operator, TOKEN};
use crate::part::Part;
use crate::results::Results;

/// The id in the drill's spec.
pub const AUDIT: &str = "drill";
const MEMBERS: usize = 3;
const COORDINATORS: usize = 2;
/// Ports in namespaces, where nobody else takes any.
const PORT: u16 = 7400;
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;
const HEALTH_PORT: u16 = 2381;
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Shape {
    pub heartbeat_ms: u64,
    pub workers: usize,
    /// The fewest workers that a gang goes on with; all, where there is none.
    pub gang_floor: Option<u32>,
    /// Whether the result waits until a person has approved it.
    pub approval: bool,
    /// The blobs lie on a disk of their own, of so many bytes.
    pub disk_bytes: Option<u64>,
    /// Every part has a network namespace of its own.
    pub is_apart: bool,
    /// Variables that the coordinators get beside their token.
    pub variables: Vec<(String, String)>,
}

impl Shape {
    pub fn usual() -> Self {
        Self {
            heartbeat_ms: 500,
            workers: 3,
            gang_floor: None,
            approval: false,
            disk_bytes: None,
            is_apart: false,
            variables: Vec::new(),
        }
    }
}

/// Parts are dropped in this order: workers first, etcd last, the folder at the very end.
pub struct Cluster {
    workers: Vec<Part>,
    coordinators: Vec<Part>,
    addresses: Vec<String>,
    pub operator: Operator,
    pub etcd: EtcdCluster,
    network: Option<Network>,
    gang_floor: Option<u32>,
    approval: bool,
    _disk: Option<Disk>,
    folder: TempDir,
}

impl Cluster {
    pub fn start(shape: &Shape) -> Self {
        let folder = tempfile::Builder::new().prefix("chaos-").tempdir().expect("makes a folder");
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).expect("makes a folder");
        let network = shape.is_apart.then(|| apart(&logs, shape.workers));
        let etcd = start_etcd(network.as_ref());
        let disk = shape.disk_bytes.map(|bytes| Disk::mount(&work(folder.path()), bytes));
        let mut cluster = Self {
            workers: Vec::new(),
            coordinators: Vec::new(),
            addresses: Vec::new(),
            operator: Operator::new(&[], None),
            etcd,
            network,
            gang_floor: shape.gang_floor,
            approval: shape.approval,
            _disk: disk,
            folder,
        };
        if shape.is_apart {
            cluster.issue_certificates();
        }
        (0..COORDINATORS).for_each(|n| cluster.start_coordinator(n, shape));
        cluster.operator = Operator::new(&cluster.addresses, cluster.certificate("admin").as_deref());
        cluster.workers = (0..shape.workers).map(|n| cluster.new_worker(n)).collect();
        cluster.wait("all workers joined", |c| c.operator.workers().is_some_and(|w| w.len() == shape.workers));
        cluster
    }

    fn start_coordinator(&mut self, index: usize, shape: &Shape) {
        let folder = self.folder.path();
        let place = self.network.as_ref().map(|network| &network.places()[MEMBERS + index]);
        let mut command = command(place, "lethe-coordinator");
        command
            .args(["--store", &store(&self.etcd), "--heartbeat-ms", &shape.heartbeat_ms.to_string(), "--work"])
            .arg(work(folder))
            .arg("--results")
            .arg(folder.join("results"))
            .envs(shape.variables.iter().cloned());
        let reached = place.map(|place| {
            let address = format!("{}:{PORT}", place.address(Net::Work));
            command.args(["--listen", &address, "--root", "/"]);
            format!("https://{address}")
        });
        if let Some(folder) = self.certificate(&format!("coordinator-{index}")) {
            command.env("LETHE_TLS", folder);
        }
        let mut part = Part::start(&format!("coordinator-{index}"), command, &folder.join("logs"));
        let listening = listening(&mut part);
        self.addresses.push(reached.unwrap_or(listening));
        self.coordinators.push(part);
    }

    fn new_worker(&self, index: usize) -> Part {
        let name = format!("worker-{index}");
        let place = self.network.as_ref().map(|network| &network.places()[MEMBERS + COORDINATORS + index]);
        let mut command = command(place, "lethe-worker");
        command.args(["--coordinator", &self.addresses.join(","), "--id", &name, "--device", "cpu"]);
        if let Some(place) = place {
            command.env("LETHE_GANG_HOST", place.address(Net::Work).to_string());
        }
        if let Some(folder) = self.certificate("worker") {
            command.env("LETHE_TLS", folder);
        }
        Part::start(&name, command, &self.folder.path().join("logs"))
    }

    /// What is apart speaks over networks, where a token is no guard.
    fn issue_certificates(&self) {
        let folder = self.folder.path().join("certificates");
        let authority = Authority::create(&folder.join("authority"), 1).expect("makes an authority");
        let issue = |role, name: &str, hosts| {
            let request = Request { identity: Identity::new(role, name).expect("is a name"), hosts, days: 1 };
            authority.issue(&request, &folder.join(name), Existing::Keep).expect("issues");
        };
        let places = &self.network().places()[MEMBERS..MEMBERS + COORDINATORS];
        for (index, place) in places.iter().enumerate() {
            issue(Role::Coordinator, &format!("coordinator-{index}"), vec![place.address(Net::Work).to_string()]);
        }
        issue(Role::Worker, "worker", Vec::new());
        issue(Role::Admin, "admin", Vec::new());
    }

    /// The folder of a certificate, where there are some.
    fn certificate(&self, name: &str) -> Option<PathBuf> {
        self.network.as_ref().map(|_| self.folder.path().join("certificates").join(name))
    }

    /// The network of a cluster that is apart.
    fn network(&self) -> &Network {
        self.network.as_ref().expect("its shape is apart")
    }

    pub fn cut_member(&self, index: usize) {
        self.network().cut(index, Net::Peers);
    }

    pub fn heal_member(&self, index: usize) {
        self.network().heal(index, Net::Peers);
    }

    pub fn cut_coordinator(&self, index: usize) {
        self.network().cut(MEMBERS + index, Net::Store);
    }

    pub fn heal_coordinator(&self, index: usize) {
        self.network().heal(MEMBERS + index, Net::Store);
    }

    pub fn cut_worker(&self, index: usize) {
        self.network().cut(MEMBERS + COORDINATORS + index, Net::Work);
    }

    pub fn heal_worker(&self, index: usize) {
        self.network().heal(MEMBERS + COORDINATORS + index, Net::Work);
    }

    /// Submits the audit of a spec file.
    pub fn submit(&self, spec: &Path) {
        let mut spec = spec_value(spec, AUDIT);
        if let Some(floor) = self.gang_floor {
            spec["workers"]["gang_floor"] = floor.into();
        }
        if self.approval {
            spec["report"]["approval"] = true.into();
        }
        let spec = serde_json::to_vec(&spec).expect("is JSON");
        self.wait("the audit taken", |cluster| cluster.operator.submit(AUDIT, spec.clone()));
    }

    pub fn worker(&mut self, index: usize) -> &mut Part {
        &mut self.workers[index]
    }

    pub fn workers(&self) -> &[Part] {
        &self.workers
    }

    pub fn coordinator(&mut self, index: usize) -> &mut Part {
        &mut self.coordinators[index]
    }

    pub fn address(&self, index: usize) -> &str {
        &self.addresses[index]
    }

    pub fn log_of(&self, coordinator: usize) -> String {
        self.coordinators[coordinator].log()
    }

    pub fn coordinator_logs(&self) -> impl Iterator<Item = String> {
        self.coordinators.iter().map(Part::log)
    }

    /// Starts an ended worker again, under its name.
    pub fn start_worker(&mut self, index: usize) {
        assert!(!self.workers[index].is_up(), "it runs");
        self.workers[index] = self.new_worker(index);
    }

    /// The index of the coordinator that leads, and its term.
    pub fn leader(&self) -> (usize, u64) {
        let mut found = None;
        self.wait("a leader", |cluster| {
            let all = (0..cluster.coordinators.len()).filter_map(|n| Some((n, cluster.operator.cluster(n).ok()?.term)));
            found = all.max_by_key(|(_, term)| *term);
            found.is_some()
        });
        found.expect("the wait ended with one")
    }

    /// Waits until the other coordinator leads, in a later term.
    pub fn wait_for_takeover(&self, (deposed, before): (usize, u64)) -> u64 {
        let mut term = 0;
        self.wait("the other coordinator leads", |cluster| {
            term = cluster.operator.cluster(1 - deposed).map_or(0, |reply| reply.term);
            term > before
        });
        self.operator.follow(1 - deposed);
        term
    }

    pub fn wait_for(&self, phase: &str, what: &str, holds: impl Fn(&PhaseView) -> bool) -> PhaseView {
        let mut seen = PhaseView::default();
        self.wait(&format!("{phase} {what}"), |cluster| {
            let Some(view) = cluster.operator.view(AUDIT) else { return false };
            assert_ne!(view.state(), RunState::Failed, "the audit failed: {}", view.reason);
            seen = view.phases.into_iter().find(|p| p.name == phase).expect("the plan has the phase");
            holds(&seen)
        });
        seen
    }

    /// Tries of the audit that ended without a result, those of all phases.
    pub fn retries(&self) -> u64 {
        let view = self.operator.view(AUDIT).unwrap_or_default();
        assert_ne!(view.state(), RunState::Failed, "the audit failed: {}", view.reason);
        view.phases.iter().map(|phase| phase.retries).sum()
    }

    /// Waits for the audit's end, whatever it is.
    pub fn wait_for_end(&self) -> AuditView {
        let mut seen = AuditView::default();
        self.wait("the audit's end", |cluster| {
            seen = cluster.operator.view(AUDIT).unwrap_or_default();
            [RunState::Succeeded, RunState::Failed, RunState::Cancelled].contains(&seen.state())
        });
        seen
    }

    /// Waits for the audit's end and wants it accepted.
    pub fn finish(&self) -> Results {
        let ended = self.wait_for_end();
        assert_eq!(ended.state(), RunState::Succeeded, "{}", ended.reason);
        assert!(ended.quarantined.is_empty(), "shards were given up: {:?}", ended.quarantined);
        Results::of(self.results())
    }

    /// Runs `lethe` as an operator does, with every coordinator's address.
    pub fn lethe(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(binary("lethe"));
        command.args(arguments).env("LETHE_TOKEN", TOKEN).env("LETHE_COORDINATOR", self.addresses.join(","));
        command.envs(self.certificate("admin").map(|folder| ("LETHE_TLS", folder)));
        command.output().expect("runs")
    }

    /// The result folder of the audit.
    pub fn results(&self) -> PathBuf {
        self.folder.path().join("results").join(AUDIT)
    }

    /// The work folder of the coordinators, which holds the blobs; where [`Results::attempts`] looks for it.
    pub fn work(&self) -> PathBuf {
        work(self.folder.path())
    }

    /// The worker that runs a task of a phase now, and how many tasks it holds.
    pub fn busy_worker(&self, phase: &str) -> usize {
        let mut found = None;
        self.wait(&format!("a worker busy with {phase}"), |cluster| {
            found = cluster.busy_now(phase);
            found.is_some()
        });
        found.expect("the wait ended with one")
    }

    fn busy_now(&self, phase: &str) -> Option<usize> {
        let index = self.operator.view(AUDIT)?.phases.iter().position(|p| p.name == phase)?;
        let busy = |worker: &WorkerView| worker.tasks.iter().any(|task| task.phase as usize == index);
        let name = self.operator.workers()?.into_iter().find(busy)?.worker;
        self.workers.iter().position(|part| part.name == name)
    }

    /// Whether the leader counts a worker among its own.
    pub fn is_joined(&self, worker: usize) -> bool {
        let name = &self.workers[worker].name;
        self.operator.workers().is_some_and(|all| all.iter().any(|w| w.worker == *name))
    }

    /// Waits for a condition, at most until the deadline.
    pub fn wait(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let by = Instant::now() + DEADLINE;
        while !holds(self) {
            assert!(Instant::now() < by, "waited for {what} for {DEADLINE:?}");
            let mut parts = self.coordinators.iter().chain(&self.workers);
            assert!(
                parts.all(|part| !part.log().contains("panicked at")),
                "a part panicked while {what} was waited for"
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn account(&self) -> String {
        let audit = self.operator.view(AUDIT);
        let tails = self.coordinators.iter().chain(&self.workers).map(Part::tail);
        format!("the audit: {audit:#?}\n{}", tails.collect::<String>())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.account());
        }
    }
}

/// A spec file as it is submitted, under an id.
pub fn spec_json(spec: &Path, audit: &str) -> Vec<u8> {
    serde_json::to_vec(&spec_value(spec, audit)).expect("is JSON")
}

fn spec_value(spec: &Path, audit: &str) -> serde_json::Value {
    let spec = lethe_common::spec::load(spec).expect("is a spec");
    let mut spec = serde_json::to_value(&spec).expect("is JSON");
    spec["audit"]["id"] = audit.into();
    spec
}

fn work(folder: &Path) -> PathBuf {
    folder.join("results").join(AUDIT).join(".lethe")
}

fn store(etcd: &EtcdCluster) -> String {
    let members: Vec<String> =
        etcd.endpoints().iter().map(|url| url.trim_start_matches("http://").to_owned()).collect();
    format!("etcd://{}/chaos", members.join(","))
}

/// A program of this build, with the token.
fn command(place: Option<&Place>, program: &str) -> Command {
    let program = binary(program);
    let mut command = place.map_or_else(|| Command::new(&program), |place| place.command(&program));
    command.env("LETHE_TOKEN", TOKEN).env("NO_COLOR", "1"); // logs are searched
    command.env("RUST_LIB_BACKTRACE", "0"); // an error's text is at the end of a log, not a page above it
    command
}

/// Members first, then coordinators, then workers.
fn apart(logs: &Path, workers: usize) -> Network {
    let mut network = Network::make(logs);
    (0..MEMBERS).for_each(|_| network.add(&[Net::Store, Net::Peers]));
    (0..COORDINATORS).for_each(|_| network.add(&[Net::Store, Net::Work]));
    (0..workers).for_each(|_| network.add(&[Net::Work]));
    network
}

fn start_etcd(network: Option<&Network>) -> EtcdCluster {
    let options = EtcdOptions { unsafe_no_fsync: true, ..EtcdOptions::default() }; // processes die, the machine does not
    let started = match network {
        None => EtcdCluster::start(MEMBERS, options),
        Some(network) => {
            let member = |place: &Place| lethe_servers::Place {
                client: (place.address(Net::Store), CLIENT_PORT).into(),
                peer: (place.address(Net::Peers), PEER_PORT).into(),
                health: (place.address(Net::Store), HEALTH_PORT).into(),
                network_of: Some(place.pid()),
            };
            EtcdCluster::start_in(network.places().iter().take(MEMBERS).map(member).collect(), options)
        }
    };
    started.expect("starts an etcd")
}

/// Where it says that it listens.
fn listening(coordinator: &mut Part) -> String {
    let mut line = String::new();
    BufReader::new(coordinator.stdout()).read_line(&mut line).expect("reads a line");
    let address = line.trim().strip_prefix("listening on ");
    format!("http://{}", address.unwrap_or_else(|| panic!("it does not listen: {line:?}\n{}", coordinator.tail())))
}
