//! An agent in the test's own process, with a scripted executor beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lethe_common::ids::WorkerId;
use lethe_telemetry::spans::Spans;
use lethe_worker::agent::stop::Stop;
use lethe_worker::agent::{self, AgentOptions, Metrics, Slots};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::coordinator::{Coordinator, PATIENT, TOKEN};
use super::scripted;

pub struct Worker {
    stops: mpsc::Sender<Stop>,
    agent: JoinHandle<()>,
    gates: PathBuf,
}

/// With `executor_process` for the executor, a test that every program of tests has.
pub fn options(coordinators: Vec<String>, gates: &Path) -> AgentOptions {
    AgentOptions {
        coordinators,
        id: WorkerId::new("w0").expect("is an id"),
        token: Some(TOKEN.to_owned()),
        certificate: None,
        host: "here".to_owned(),
        device: "cpu".to_owned(),
        instance: "a process".to_owned(),
        memory_bytes: 1 << 30,
        slots: Slots::default(),
        grace: Duration::from_secs(25),
        executor: scripted::command("executor_process", gates),
        metrics: Metrics::default(),
        spans: Spans::off(),
    }
}

impl Worker {
    /// Waits for its hello.
    pub async fn start(coordinator: &mut Coordinator) -> Self {
        Self::start_with(coordinator, vec![coordinator.url.clone()]).await
    }

    /// The addresses are those it is given; the coordinator is the one that it should find.
    pub async fn start_with(coordinator: &mut Coordinator, addresses: Vec<String>) -> Self {
        let gates = coordinator.folder.path().to_owned();
        let (stops, requests) = mpsc::channel(4);
        let agent = tokio::spawn(agent::run(options(addresses, &gates), requests));
        let hello = coordinator.hello().await;
        assert_eq!((hello.worker.as_str(), hello.version), ("w0", lethe_proto::WIRE_VERSION));
        assert_eq!((hello.slots, hello.memory_bytes, hello.release.as_str()), (2, 1 << 30, env!("CARGO_PKG_VERSION")));
        Self { stops, agent, gates }
    }

    pub fn open_gate(&self, counter: u64) {
        scripted::open_gate(&self.gates, counter);
    }

    pub async fn stop(self) {
        self.stops.send(Stop::AtOnce).await.expect("the agent runs");
        timeout(PATIENT, self.agent).await.expect("stops in time").expect("does not panic");
    }
}
