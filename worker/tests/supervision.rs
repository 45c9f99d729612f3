//! An agent with a real executor process against a coordinator that the test plays: what happens to a
//! task when its process dies, hangs, prints, panics or is given up.

mod support;

use lethe_common::ids::WorkerId;
use lethe_worker::agent::{self, AgentOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::coordinator::{Coordinator, PATIENT, TOKEN, abort, gang, map, task};
use support::scripted;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Not a test of its own: the executor process of the others.
#[test]
fn executor_process() {
    scripted::serve();
}

struct Worker {
    stop: oneshot::Sender<()>,
    agent: JoinHandle<()>,
}

impl Worker {
    async fn start(coordinator: &mut Coordinator) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let options = AgentOptions {
            coordinator: coordinator.url.clone(),
            id: WorkerId::new("w0").expect("is an id"),
            token: Some(TOKEN.to_owned()),
            host: "here".to_owned(),
            device: "cpu".to_owned(),
            executor: scripted::command("executor_process"),
        };
        let agent = tokio::spawn(agent::run(options, async move { drop(stopped.await) }));
        let hello = coordinator.hello().await;
        assert_eq!((hello.worker.as_str(), hello.version), ("w0", lethe_proto::WIRE_VERSION));
        Self { stop, agent }
    }

    async fn stop(self) {
        drop(self.stop);
        timeout(PATIENT, self.agent).await.expect("stops in time").expect("does not panic");
    }
}

/// The executor's process id, which its waiting programs report.
fn process(progress: &lethe_proto::v1::TaskProgress) -> Pid {
    Pid::from_raw(i32::try_from(progress.total).expect("is a process id"))
}

#[tokio::test]
async fn a_task_is_committed_though_libraries_print_and_commits_fail() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.fail_commits(2);
    coordinator.send(map(1, "noisy")).await;
    let commit = coordinator.commit().await;
    assert_eq!(commit.task, Some(task(1)));
    let counts = commit.counts.expect("has counts");
    assert_eq!((counts.read, counts.scored, counts.failed), (3, 2, 1));
    let blob = commit.outputs[0].blob.clone().expect("has a blob");
    assert_eq!(blob.path, "audit/002/0000000/7.1/signals");
    let written = std::fs::read(coordinator.folder.path().join(blob.path)).expect("is there");
    assert_eq!(written, b"written");
    worker.stop().await;
}

#[tokio::test]
async fn a_killed_executor_fails_its_task_and_the_next_one_works() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "hang")).await;
    let victim = process(&coordinator.progress().await);
    kill(victim, Signal::SIGKILL).expect("is ours");
    let message = coordinator.retryable().await;
    assert_eq!(message, "executor died with signal 9 while running audit/2/0/7.1");
    coordinator.send(map(2, "wait")).await;
    let successor = process(&coordinator.progress().await);
    assert_ne!(successor, victim);
    worker.stop().await;
}

#[tokio::test]
async fn an_abort_stops_a_task_without_losing_its_process() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "wait")).await;
    let first = process(&coordinator.progress().await);
    coordinator.send(abort(1)).await;
    assert_eq!(coordinator.retryable().await, "audit/2/0/7.1: aborted: the test says so");
    coordinator.send(map(2, "wait")).await;
    assert_eq!(process(&coordinator.progress().await), first);
    worker.stop().await;
}

#[tokio::test]
async fn a_task_that_does_not_stop_is_killed() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "hang")).await;
    let first = process(&coordinator.progress().await);
    coordinator.send(abort(1)).await;
    assert_eq!(coordinator.retryable().await, "audit/2/0/7.1: aborted: the test says so");
    coordinator.send(map(2, "wait")).await;
    assert_ne!(process(&coordinator.progress().await), first);
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_fault_of_the_task_alone() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "panic")).await;
    assert_eq!(coordinator.retryable().await, "audit/2/0/7.1: panicked: a bad shape");
    coordinator.send(map(2, "write")).await;
    assert_eq!(coordinator.commit().await.task, Some(task(2)));
    worker.stop().await;
}

#[tokio::test]
async fn a_gang_meets_through_the_coordinator_and_remembers_its_last_generation() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    // The second rank never comes, so this generation waits at the rendezvous until it is aborted.
    coordinator.send(gang(1, "gang", 2)).await;
    assert_eq!(coordinator.progress().await.done, 1);
    coordinator.send(abort(1)).await;
    assert_eq!(coordinator.retryable().await, "audit/2/0/7.1: aborted: the test says so");
    coordinator.send(gang(2, "gang", 1)).await;
    let counts = coordinator.commit().await.counts.expect("has counts");
    assert_eq!(counts.read, 2, "the state of the first generation was lost");
    worker.stop().await;
}

#[tokio::test]
async fn a_lost_coordinator_is_found_again_and_its_tasks_are_given_up() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "wait")).await;
    let process_before = process(&coordinator.progress().await);
    coordinator.hang_up();
    coordinator.hello().await;
    coordinator.send(map(2, "wait")).await;
    let progress = coordinator.progress().await;
    assert_eq!(progress.task, Some(task(2)), "the old session's task still runs");
    assert_eq!(process(&progress), process_before);
    worker.stop().await;
}

#[tokio::test]
async fn a_stopping_worker_hands_its_task_back_and_closes_the_session() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "wait")).await;
    coordinator.progress().await;
    worker.stop().await;
    assert_eq!(coordinator.retryable().await, "audit/2/0/7.1: aborted: the worker is stopping");
    coordinator.session_end().await;
}
