//! An agent with a real executor process against a coordinator that the test plays: what happens to a
//! task when its process dies, hangs, prints, panics or is given up.

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::coordinator::Coordinator;
use support::messages::{abort, gang, map, map_of, of_term, task};
use support::scripted;
use support::worker::Worker;

/// Not a test of its own: the executor process of the others.
#[test]
fn executor_process() {
    scripted::serve();
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
async fn a_device_that_fails_costs_one_try_and_its_process() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "wait")).await;
    let first = process(&coordinator.progress().await);
    coordinator.send(map(2, "device-fails")).await;
    coordinator.send(map(3, "wait")).await;
    coordinator.send(abort(1)).await;
    assert_eq!(coordinator.retryable().await, "audit/2/0/7.1: aborted: the test says so");
    assert_eq!(coordinator.retryable().await, "CUDA error: uncorrectable ECC error encountered");
    assert_ne!(process(&coordinator.progress_of(3).await), first, "a broken context computes on");
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
async fn work_outlives_a_session_of_the_same_leader() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "gated")).await;
    coordinator.send(map(2, "gated")).await;
    coordinator.progress_of(1).await;
    coordinator.hang_up();
    coordinator.hello().await;
    let message = coordinator.handed_back().await;
    assert_eq!(message, "audit/2/0/7.2: handed back: its session ended before it began");
    worker.open_gate(1);
    assert_eq!(coordinator.commit().await.task, Some(task(1)));
    worker.stop().await;
}

#[tokio::test]
async fn a_result_waits_for_its_leader_to_come_back() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.hold_commits();
    coordinator.send(map(1, "write")).await;
    assert_eq!(coordinator.group().await, 1);
    coordinator.hang_up();
    coordinator.hello().await;
    coordinator.answer_commits();
    assert_eq!(coordinator.commit().await.task, Some(task(1)));
    worker.stop().await;
}

#[tokio::test]
async fn a_newer_leader_ends_the_work_of_the_one_before() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "wait")).await;
    let process_before = process(&coordinator.progress().await);
    coordinator.elect(8);
    coordinator.hang_up();
    coordinator.hello().await;
    coordinator.send(map_of(8, 1, "wait")).await;
    let progress = coordinator.progress().await;
    assert_eq!(progress.task, Some(of_term(8, 1)), "the old leader's task still runs");
    assert_eq!(process(&progress), process_before);
    worker.stop().await;
    let message = coordinator.handed_back().await;
    assert_eq!(message, "audit/2/0/8.1: handed back: the worker is stopping", "what the old leader gave is not told");
}

#[tokio::test]
async fn a_result_of_the_leader_before_is_dropped() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.fail_commits(u32::MAX);
    coordinator.send(map(1, "write")).await;
    assert_eq!(coordinator.group().await, 1);
    coordinator.elect(8);
    coordinator.hang_up();
    coordinator.hello().await;
    coordinator.fail_commits(0);
    coordinator.send(map_of(8, 2, "write")).await;
    assert_eq!(coordinator.commit().await.task, Some(of_term(8, 2)));
    worker.stop().await;
}

#[tokio::test]
async fn a_gang_ends_with_its_session() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(gang(1, "gang", 2)).await;
    assert_eq!(coordinator.progress().await.done, 1);
    coordinator.hang_up();
    coordinator.hello().await;
    coordinator.send(gang(2, "gang", 1)).await;
    let counts = coordinator.commit().await.counts.expect("has counts");
    assert_eq!(counts.read, 2, "its executor should have kept its state");
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_stops_at_once_hands_its_task_back_and_closes_the_session() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(map(1, "hang")).await;
    coordinator.progress().await;
    worker.stop().await;
    coordinator.draining().await;
    assert_eq!(coordinator.handed_back().await, "audit/2/0/7.1: handed back: the worker is stopping");
    coordinator.session_end().await;
}
