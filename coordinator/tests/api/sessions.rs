//! Sessions: hello, tasks, commits, and every way in which a worker is lost.

use lethe_proto::v1;
use lethe_proto::v1::worker_message::Kind as Word;
use tonic::Code;

use crate::rig::{CALM_HEARTBEAT_MS, Rig, SHARDS, Worker, audit, hello, spec, view_where};

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
    let refusal = Worker::open(rig.workers().await, v1::WorkerHello { version: 99, ..hello("old-one") })
        .await
        .err()
        .expect("is refused");
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(refusal.message().contains("old-one") && refusal.message().contains("99"), "{refusal}");
}

#[tokio::test]
async fn a_bad_worker_name_is_refused() {
    let rig = Rig::calm().await;
    let refusal = Worker::open(rig.workers().await, hello("../w")).await.err().expect("is refused");
    assert_eq!(refusal.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_new_session_replaces_the_old_and_its_task_is_issued_again() {
    let rig = Rig::calm().await;
    let mut old = rig.worker("w1").await;
    let first = old.map().await.task.expect("is named");
    let mut new = rig.worker("w1").await;
    assert_eq!(old.order().await, None, "the old session must end");

    let again = next_of(&mut new, first.shard).await;
    let counter = |task: &v1::TaskId| task.attempt.expect("has one").counter;
    assert!(counter(&again) > counter(&first), "{again:?} is not newer than {first:?}");
    assert_eq!(old.commit(first).await, v1::CommitOutcome::Applied, "work that was done counts, if it is the first");
    assert_eq!(new.commit(again).await, v1::CommitOutcome::Stale, "a second result of the same shard does not");
    view_where(&mut rig.audits().await, |view| view.workers == 1).await;
}

#[tokio::test]
async fn a_second_process_of_the_same_name_is_refused_while_the_first_lives() {
    let rig = Rig::calm().await;
    let of = |instance: &str| v1::WorkerHello { instance: instance.to_owned(), ..hello("w1") };
    let mut first = Worker::open(rig.workers().await, of("one")).await.expect("is welcome");
    let refusal = Worker::open(rig.workers().await, of("two")).await.err().expect("is refused");
    assert_eq!(refusal.code(), Code::AlreadyExists);
    assert!(refusal.message().contains("w1") && refusal.message().contains("--id"), "{refusal}");
    first.map().await; // and was not disturbed
    let mut again = Worker::open(rig.workers().await, of("one")).await.expect("the same process may dial again");
    again.map().await;
}

#[tokio::test]
async fn a_worker_of_the_version_before_is_served_one_whole_task_at_a_time() {
    let rig = Rig::calm().await;
    let old = v1::WorkerHello { version: 1, slots: 9, ..hello("old") };
    let mut worker = Worker::open(rig.workers().await, old).await.expect("is welcome");
    assert_eq!(worker.welcome.heartbeat_ms, CALM_HEARTBEAT_MS / 2, "it beats once where later ones beat twice");
    let Some(lethe_proto::v1::coordinator_message::Kind::Map(task)) = worker.order().await else {
        panic!("expected a task as version 1 knows it")
    };
    assert_eq!((task.program.as_str(), task.inputs.len()), ("pack", 1));
    assert_eq!(worker.commit(task.task.expect("is named")).await, v1::CommitOutcome::Applied);
    assert!(matches!(worker.order().await, Some(lethe_proto::v1::coordinator_message::Kind::Map(_))));
}

#[tokio::test]
async fn slots_are_filled_at_once_and_commits_come_back_together() {
    let rig = Rig::calm().await;
    let many = v1::WorkerHello { slots: SHARDS, ..hello("w1") };
    let mut worker = Worker::open(rig.workers().await, many).await.expect("is welcome");
    let mut commits = Vec::new();
    for _ in 0..SHARDS {
        let task = worker.map().await.task;
        let counts = Some(v1::Counts { read: 10, scored: 9, failed: 1 });
        commits.push(v1::CommitRequest { worker: String::new(), task, outputs: Vec::new(), counts });
    }
    let request = v1::CommitManyRequest { worker: "w1".to_owned(), commits };
    let reply = worker.client.commit_many(request).await.expect("is answered").into_inner();
    let outcomes: Vec<v1::CommitOutcome> = reply.results.iter().map(v1::CommitResult::outcome).collect();
    assert_eq!(outcomes, [v1::CommitOutcome::Applied; SHARDS as usize]);
}

#[tokio::test]
async fn a_worker_that_lies_about_its_outputs_is_refused_with_the_reason() {
    let rig = Rig::calm().await;
    let mut worker = rig.worker("w1").await;
    let task = worker.map().await.task.expect("is named");
    let attempt = task.attempt.expect("has one");
    let at = |name: &str| format!("drill/001/{:07}/{}.{}/{name}", task.shard, attempt.term, attempt.counter);
    let written = rig.work().join("blobs").join(at("there"));
    std::fs::create_dir_all(written.parent().expect("has one")).expect("makes a folder");
    std::fs::write(&written, b"what it wrote").expect("writes");
    let digest = lethe_common::blob::Digest::of(b"what it claims").0.to_vec();
    for (path, size_bytes, says) in [
        (at("there"), 13, "digest"),
        (at("there"), 12, "13"),
        (at("missing"), 13, "missing"),
        ("else".to_owned(), 1, "else"),
    ] {
        let blob = Some(v1::BlobRef { path, size_bytes, digest: digest.clone() });
        let outputs = vec![v1::NamedBlob { name: "there".to_owned(), blob }];
        let counts = Some(v1::Counts::default());
        let commit = v1::CommitRequest { worker: String::new(), task: Some(task.clone()), outputs, counts };
        let request = v1::CommitManyRequest { worker: "w1".to_owned(), commits: vec![commit] };
        let reply = worker.client.commit_many(request).await.expect("is answered").into_inner();
        assert_eq!(reply.results[0].outcome(), v1::CommitOutcome::Refused);
        assert!(reply.results[0].reason.contains(says), "{} does not say {says}", reply.results[0].reason);
    }
    assert_eq!(worker.commit(task).await, v1::CommitOutcome::Applied, "the truth is still taken");
}

#[tokio::test]
async fn a_draining_worker_is_given_nothing_new() {
    let rig = Rig::calm().await;
    let mut draining = rig.worker("w1").await;
    let task = draining.map().await.task.expect("is named");
    draining.say(Word::Draining(v1::Draining { reason: "the node goes".to_owned() })).await;
    view_where(&mut rig.audits().await, |view| view.workers == 0).await;
    assert_eq!(draining.commit(task).await, v1::CommitOutcome::Applied);
    let mut other = rig.worker("w2").await;
    for _ in 1..SHARDS {
        let task = other.map().await.task.expect("the other gets the rest");
        other.commit(task).await;
    }
    let workers = rig.audits().await.list_workers(v1::ListWorkersRequest {}).await.expect("lists").into_inner().workers;
    let states: Vec<_> = workers.iter().map(|w| (w.worker.as_str(), w.state.as_str(), w.reason.as_str())).collect();
    assert_eq!(states, [("w1", "draining", "the node goes"), ("w2", "idle", "")]);
}

/// The next try of a shard. Those that never failed go first, and are committed.
async fn next_of(worker: &mut Worker, shard: u32) -> v1::TaskId {
    for _ in 0..SHARDS {
        let task = worker.map().await.task.expect("is named");
        if task.shard == shard {
            return task;
        }
        worker.commit(task).await;
    }
    panic!("shard {shard} did not come again");
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
            beating.say(Word::Heartbeat(v1::Heartbeat::default())).await;
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
    let again = next_of(&mut worker, task.shard).await;
    assert_ne!(again.attempt, task.attempt);
    view_where(&mut rig.audits().await, |view| view.phases[1].retries == 1).await;
}

#[tokio::test]
async fn progress_is_shown_but_never_counted_as_done() {
    let rig = Rig::calm().await;
    let mut worker = rig.worker("w1").await;
    let task = worker.map().await.task;
    worker.say(Word::Progress(v1::TaskProgress { task, done: 30, total: 100, place: None })).await;
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
