//! Sessions: hello, tasks, commits, and every way in which a worker is lost.

use lethe_proto::v1;
use lethe_proto::v1::worker_message::Kind as Word;
use tonic::Code;

use crate::rig::{CALM_HEARTBEAT_MS, Rig, SHARDS, Worker, audit, spec, view_where};

#[tokio::test]
async fn a_worker_is_welcomed_and_given_a_task_with_its_spec() {
    let rig = Rig::calm().await;
    let mut worker = rig.worker("w1").await;
    assert_eq!(worker.welcome.heartbeat_ms, CALM_HEARTBEAT_MS);
    assert!(worker.welcome.blob_root.starts_with("file:///"), "{}", worker.welcome.blob_root);

    let task = worker.map().await;
    let id = task.task.expect("is named");
    assert_eq!((task.program.as_str(), id.audit.as_str(), id.phase), ("pack", "drill", 1));
    assert_eq!(id.attempt.expect("has one").term, worker.welcome.term);
    assert_eq!(task.params_json, serde_json::to_vec(&spec()).expect("is JSON"));
    assert_eq!(task.inputs.iter().map(|input| input.phase.as_str()).collect::<Vec<_>>(), ["plan"]);
}

#[tokio::test]
async fn a_commit_counts_once_and_is_shown() {
    let rig = Rig::calm().await;
    let mut worker = rig.worker("w1").await;
    let task = worker.map().await.task.expect("is named");
    assert_eq!(worker.commit(task.clone()).await, v1::CommitOutcome::Applied);
    let second = worker.map().await.task.expect("is named");
    assert_ne!(second.shard, task.shard);

    worker.commit(task).await; // a repeated call after a lost answer
    let view = view_where(&mut rig.audits().await, |view| view.phases[1].done == 1).await;
    let counts = view.phases[1].counts.expect("are there");
    assert_eq!((view.phases[1].total, counts.read, counts.failed), (u64::from(SHARDS), 10, 1));
}

#[tokio::test]
async fn another_wire_version_is_refused_by_name() {
    let rig = Rig::calm().await;
    let refusal = Worker::hello(rig.workers().await, "old-one", 99).await.err().expect("is refused");
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(refusal.message().contains("old-one") && refusal.message().contains("99"), "{refusal}");
}

#[tokio::test]
async fn a_bad_worker_name_is_refused() {
    let rig = Rig::calm().await;
    let refusal = Worker::hello(rig.workers().await, "../w", 1).await.err().expect("is refused");
    assert_eq!(refusal.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_new_session_replaces_the_old_and_its_task_is_issued_again() {
    let rig = Rig::calm().await;
    let mut old = rig.worker("w1").await;
    let first = old.map().await.task.expect("is named");
    let mut new = rig.worker("w1").await;
    assert_eq!(old.order().await, None, "the old session must end");

    let again = new.map().await.task.expect("is named");
    assert_eq!(again.shard, first.shard);
    let counter = |task: &v1::TaskId| task.attempt.expect("has one").counter;
    assert!(counter(&again) > counter(&first), "{again:?} is not newer than {first:?}");
    assert_eq!(old.commit(first).await, v1::CommitOutcome::Applied, "work that was done counts, if it is the first");
    assert_eq!(new.commit(again).await, v1::CommitOutcome::Stale, "a second result of the same shard does not");
    view_where(&mut rig.audits().await, |view| view.workers == 1).await;
}

#[tokio::test]
async fn a_closed_stream_loses_the_worker() {
    let rig = Rig::calm().await;
    let mut worker = rig.worker("w1").await;
    worker.map().await;
    drop(worker);
    view_where(&mut rig.audits().await, |view| view.workers == 0).await;
}

#[tokio::test]
async fn a_silent_worker_is_lost_and_a_beating_one_is_not() {
    let rig = Rig::with_heartbeat(100).await;
    let mut silent = rig.worker("silent").await;
    let beating = rig.worker("beating").await;
    let beats = tokio::spawn(async move {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            beat.tick().await;
            beating.say(Word::Heartbeat(v1::Heartbeat {})).await;
        }
    });
    silent.map().await;
    assert_eq!(silent.order().await, None, "its session must end");
    view_where(&mut rig.audits().await, |view| view.workers == 1).await;
    assert!(!beats.is_finished(), "the beating worker's session ended");
    beats.abort();
}

#[tokio::test]
async fn a_failed_task_is_tried_again() {
    let rig = Rig::calm().await;
    let mut worker = rig.worker("w1").await;
    let task = worker.map().await.task.expect("is named");
    let fault = v1::Fault { kind: v1::FaultKind::Retryable.into(), message: "a disk was full".to_owned() };
    worker.say(Word::Failed(v1::TaskFailed { task: Some(task.clone()), fault: Some(fault) })).await;
    let again = worker.map().await.task.expect("is named");
    assert_ne!(again.attempt, task.attempt);
    view_where(&mut rig.audits().await, |view| view.phases[1].retries == 1).await;
}

#[tokio::test]
async fn progress_is_shown_but_never_counted_as_done() {
    let rig = Rig::calm().await;
    let mut worker = rig.worker("w1").await;
    let task = worker.map().await.task;
    worker.say(Word::Progress(v1::TaskProgress { task, done: 30, total: 100 })).await;
    let view = view_where(&mut rig.audits().await, |view| view.phases[1].in_flight_total == 100).await;
    assert_eq!((view.phases[1].in_flight_done, view.phases[1].done), (30, 0));
    assert_eq!(view.audit, audit().as_str());
}

#[tokio::test]
async fn a_restarted_coordinator_keeps_commits_and_issues_the_rest_in_a_new_term() {
    let rig = Rig::calm().await;
    let mut worker = rig.worker("w1").await;
    let done = worker.map().await.task.expect("is named");
    worker.commit(done.clone()).await;
    let open = worker.map().await.task.expect("is named");
    let old_term = worker.welcome.term;
    let rig = rig.restart().await;
    assert_eq!(worker.order().await, None, "the old session must end");

    let mut worker = rig.worker("w1").await;
    assert!(worker.welcome.term > old_term);
    let mut left = Vec::new();
    for _ in 1..SHARDS {
        let task = worker.map().await.task.expect("is named");
        left.push(task.shard);
        assert_eq!(worker.commit(task).await, v1::CommitOutcome::Applied);
    }
    assert!(!left.contains(&done.shard), "shard {} ran again", done.shard);
    assert_eq!(worker.commit(open).await, v1::CommitOutcome::Stale);
}
