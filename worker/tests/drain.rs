//! A worker's process that is told to end: what it finishes, what it hands back, and with which exit code.

mod support;

use std::process::ExitStatus;
use std::time::Duration;

use lethe_worker::agent::{self, AgentOptions, stop};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::coordinator::{Coordinator, PATIENT};
use support::messages::{map, task};
use support::scripted;
use support::worker::options;
use tokio::process::Child;
use tokio::time::{Instant, timeout};

/// Not a test of its own: the executor process of the others.
#[test]
fn executor_process() {
    scripted::serve();
}

const COORDINATOR: &str = "LETHE_TEST_COORDINATOR";
const FOLDER: &str = "LETHE_TEST_FOLDER";
const GRACE_MS: &str = "LETHE_TEST_GRACE_MS";

fn variable(name: &str) -> String {
    std::env::var(name).expect("the test says it")
}

/// Not a test of its own: the agent's process of the others.
#[tokio::test]
async fn agent_process() {
    if scripted::is_agent() {
        let grace = Duration::from_millis(variable(GRACE_MS).parse().expect("is a number"));
        let options = options(vec![variable(COORDINATOR)], variable(FOLDER).as_ref());
        agent::run(AgentOptions { grace, ..options }, stop::requests(true).expect("listens")).await;
    }
}

struct Process {
    child: Child,
    /// When it was first told to end.
    told_at: Option<Instant>,
}

impl Process {
    async fn start(coordinator: &mut Coordinator, grace_ms: u64) -> Self {
        let (url, grace) = (coordinator.url.clone(), grace_ms.to_string());
        let folder = coordinator.folder.path().to_str().expect("is text").to_owned();
        let variables = [(COORDINATOR, url.as_str()), (FOLDER, folder.as_str()), (GRACE_MS, grace.as_str())];
        let child = scripted::agent_process("agent_process", &variables);
        coordinator.hello().await;
        Self { child, told_at: None }
    }

    fn signal(&mut self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("runs");
        kill(Pid::from_raw(pid), signal).expect("is ours");
        self.told_at.get_or_insert_with(Instant::now);
    }

    fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
        self.told_at.get_or_insert_with(Instant::now);
    }

    /// How it ended, and how long after it was told to.
    async fn ended(mut self) -> (ExitStatus, Duration) {
        // Waiting for a child closes its stdin, which is a request to end of its own.
        let stdin = self.child.stdin.take();
        let status = timeout(PATIENT, self.child.wait()).await.expect("ends in time").expect("is a child");
        drop(stdin);
        (status, self.told_at.expect("was told").elapsed())
    }
}

const LONG_GRACE_MS: u64 = 25_000;
const HANDED_BACK: &str = "audit/2/0/7.1: handed back: the worker is stopping";

#[tokio::test]
async fn a_task_that_ends_within_the_grace_is_committed() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut coordinator = Coordinator::start().await;
        let mut process = Process::start(&mut coordinator, LONG_GRACE_MS).await;
        coordinator.send(map(1, "gated")).await;
        coordinator.send(map(2, "gated")).await;
        coordinator.progress_of(1).await;
        process.signal(signal);
        coordinator.draining().await;
        assert_eq!(coordinator.handed_back().await, "audit/2/0/7.2: handed back: the worker is stopping");
        coordinator.send(map(3, "gated")).await;
        assert_eq!(coordinator.handed_back().await, "audit/2/0/7.3: not taken: the worker is stopping");
        scripted::open_gate(coordinator.folder.path(), 1);
        assert_eq!(coordinator.commit().await.task, Some(task(1)));
        coordinator.session_end().await;
        assert!(process.ended().await.0.success(), "{signal}");
    }
}

#[tokio::test]
async fn a_task_that_does_not_end_within_the_grace_is_handed_back() {
    let mut coordinator = Coordinator::start().await;
    let mut process = Process::start(&mut coordinator, 2_000).await;
    coordinator.send(map(1, "hang")).await;
    coordinator.progress_of(1).await;
    process.signal(Signal::SIGTERM);
    assert_eq!(coordinator.handed_back().await, HANDED_BACK);
    coordinator.session_end().await;
    let (status, after) = process.ended().await;
    assert!(status.success(), "{status}");
    assert!(after >= Duration::from_millis(1_600), "only {after:?} were given");
}

#[tokio::test]
async fn a_second_signal_hands_back_at_once() {
    let mut coordinator = Coordinator::start().await;
    let mut process = Process::start(&mut coordinator, LONG_GRACE_MS).await;
    coordinator.send(map(1, "hang")).await;
    coordinator.progress_of(1).await;
    process.signal(Signal::SIGTERM);
    coordinator.draining().await;
    process.signal(Signal::SIGTERM);
    assert_eq!(coordinator.handed_back().await, HANDED_BACK);
    let (status, after) = process.ended().await;
    assert!(status.success() && after < Duration::from_millis(LONG_GRACE_MS / 2), "{status} after {after:?}");
}

#[tokio::test]
async fn the_end_of_its_parent_ends_it_at_once() {
    let mut coordinator = Coordinator::start().await;
    let mut process = Process::start(&mut coordinator, LONG_GRACE_MS).await;
    coordinator.send(map(1, "hang")).await;
    coordinator.progress_of(1).await;
    process.close_stdin();
    assert_eq!(coordinator.handed_back().await, HANDED_BACK);
    let (status, after) = process.ended().await;
    assert!(status.success() && after < Duration::from_millis(LONG_GRACE_MS / 2), "{status} after {after:?}");
}

#[tokio::test]
async fn an_idle_worker_ends_though_its_coordinator_is_gone() {
    let mut coordinator = Coordinator::start().await;
    let mut process = Process::start(&mut coordinator, LONG_GRACE_MS).await;
    coordinator.go_away();
    coordinator.session_end().await;
    process.signal(Signal::SIGTERM);
    let (status, after) = process.ended().await;
    assert!(status.success() && after < Duration::from_millis(LONG_GRACE_MS / 2), "{status} after {after:?}");
}
