//! Leases and commits of wire version 2: several tasks a worker, phases told once, results in groups.

mod support;

use support::coordinator::Coordinator;
use support::messages::{leases, map, phase, task};
use support::scripted;
use support::worker::Worker;

/// Not a test of its own: the executor process of the others.
#[test]
fn executor_process() {
    scripted::serve();
}

#[tokio::test]
async fn two_slots_are_filled_and_run_in_order() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.send(phase("gated")).await;
    coordinator.send(leases([1, 2])).await;
    coordinator.progress_of(1).await;
    worker.open_gate(2); // were it running beside the first, it would be first
    worker.open_gate(1);
    assert_eq!(coordinator.commit().await.task, Some(task(1)));
    assert_eq!(coordinator.commit().await.task, Some(task(2)));
    worker.stop().await;
}

#[tokio::test]
async fn what_waits_for_an_answer_is_committed_together() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.hold_commits();
    coordinator.send(phase("gated")).await;
    coordinator.send(leases([1, 2, 3, 4])).await;
    worker.open_gate(1);
    assert_eq!(coordinator.group().await, 1, "nothing waits for more");
    worker.open_gate(2);
    worker.open_gate(3);
    coordinator.progress_of(4).await;
    coordinator.answer_commits();
    assert_eq!(coordinator.commit().await.task, Some(task(1)));
    assert_eq!(coordinator.group().await, 2);
    assert_eq!(coordinator.commit().await.task, Some(task(2)));
    assert_eq!(coordinator.commit().await.task, Some(task(3)));
    worker.stop().await;
}

#[tokio::test]
async fn a_group_that_is_not_answered_is_sent_again() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.fail_commits(3);
    coordinator.send(map(1, "write")).await;
    for _ in 0..4 {
        assert_eq!(coordinator.group().await, 1);
    }
    assert_eq!(coordinator.commit().await.task, Some(task(1)));
    worker.stop().await;
}

/// Its own work is done: the fault is the coordinator's, and it passes.
#[tokio::test]
async fn what_the_coordinator_cannot_look_at_is_committed_again() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.see_no_commits(2);
    coordinator.send(map(1, "write")).await;
    for _ in 0..3 {
        assert_eq!(coordinator.group().await, 1);
    }
    assert_eq!(coordinator.commit().await.task, Some(task(1)));
    worker.stop().await;
}

#[tokio::test]
async fn a_refused_commit_is_a_failure_with_its_reason() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.refuse_commits("signals has another digest");
    coordinator.send(map(1, "write")).await;
    let message = coordinator.retryable().await;
    assert_eq!(message, "audit/2/0/7.1: the commit was refused: signals has another digest");
    worker.stop().await;
}

#[tokio::test]
async fn a_coordinator_that_knows_no_groups_gets_its_commits_one_by_one() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    coordinator.forget_groups();
    for counter in [1, 2] {
        coordinator.send(map(counter, "write")).await;
        assert_eq!(coordinator.commit().await.task, Some(task(counter)));
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_lease_needs_its_phase_told_in_its_session() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&mut coordinator).await;
    let unknown = "this session was not told of the task's phase, or of 64 others since";
    coordinator.send(leases([1])).await;
    assert_eq!(coordinator.retryable().await, format!("audit/2/0/7.1: {unknown}"));
    coordinator.send(phase("write")).await;
    coordinator.send(leases([2])).await;
    assert_eq!(coordinator.commit().await.task, Some(task(2)));
    coordinator.hang_up();
    coordinator.hello().await;
    coordinator.send(leases([3])).await;
    assert_eq!(coordinator.retryable().await, format!("audit/2/0/7.3: {unknown}"));
    worker.stop().await;
}
