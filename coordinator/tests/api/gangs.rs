//! A gang over the wire: ranks start together and meet at the rendezvous of their generation.

use lethe_common::blob::{BlobStore, attempt_path};
use lethe_common::ids::TaskId;
use lethe_proto::v1;
use tonic::Code;

use crate::rig::{Rig, SHARDS, Worker, soon};

/// Both workers map until the gang starts.
async fn gang(rig: &Rig) -> [(Worker, v1::GangTask); 2] {
    let mut first = rig.worker("w1").await;
    for _ in 0..SHARDS {
        let task = first.map().await.task.expect("is named");
        first.commit(task).await;
    }
    let mut second = rig.worker("w2").await;
    let (a, b) = (first.gang().await, second.gang().await);
    [(first, a), (second, b)]
}

fn key(task: &v1::GangTask, key: &str) -> Option<v1::RendezvousKey> {
    Some(v1::RendezvousKey { task: task.task.clone(), generation: task.generation, key: key.to_owned() })
}

#[tokio::test]
async fn ranks_start_together_and_exchange_keys() {
    let rig = Rig::calm().await;
    let [(mut first, a), (mut second, b)] = gang(&rig).await;
    assert_eq!((a.generation, a.world_size, a.program.as_str()), (b.generation, 2, "train"));
    assert_eq!([a.rank, b.rank].iter().sum::<u32>(), 1, "the ranks are 0 and 1");

    let get = v1::RendezvousGetRequest { key: key(&b, "address"), timeout_ms: 20_000 };
    let waiter = tokio::spawn(async move { second.client.rendezvous_get(get).await.map(|reply| (reply, second)) });
    let set = v1::RendezvousSetRequest { key: key(&a, "address"), value: b"here".to_vec() };
    first.client.rendezvous_set(set).await.expect("is set");
    let (reply, mut second) = soon("the value", waiter).await.expect("ends").expect("is got");
    assert_eq!(reply.into_inner().value, b"here");

    for (worker, task, sum) in [(&mut first, &a, 2), (&mut second, &b, 4)] {
        let add = v1::RendezvousAddRequest { key: key(task, "count"), amount: 2 };
        assert_eq!(worker.client.rendezvous_add(add).await.expect("adds").into_inner().value, sum);
    }
}

#[tokio::test]
async fn a_lost_rank_ends_the_generation_and_its_keys() {
    let rig = Rig::calm().await;
    let [(mut first, a), (second, _)] = gang(&rig).await;
    let set = |task: &v1::GangTask| v1::RendezvousSetRequest { key: key(task, "k"), value: b"v".to_vec() };
    first.client.rendezvous_set(set(&a)).await.expect("is set");
    drop(second);
    let abort = first.order().await;
    assert!(matches!(&abort, Some(v1::coordinator_message::Kind::Abort(abort)) if abort.task == a.task), "{abort:?}");
    let fault = v1::Fault { kind: v1::FaultKind::Retryable.into(), message: "aborted".to_owned() };
    let failed = v1::TaskFailed { task: a.task.clone(), fault: Some(fault) };
    first.say(v1::worker_message::Kind::Failed(failed)).await;

    let mut third = rig.worker("w3").await;
    let (again, _) = (first.gang().await, third.gang().await);
    assert!(again.generation > a.generation);
    let stale = first.client.rendezvous_set(set(&a)).await.expect_err("is over");
    assert_eq!(stale.code(), Code::FailedPrecondition);
    let get = v1::RendezvousGetRequest { key: key(&again, "k"), timeout_ms: 0 };
    let empty = third.client.rendezvous_get(get).await.expect_err("is not set");
    assert_eq!(empty.code(), Code::DeadlineExceeded);
}

/// Writes a checkpoint under a path.
async fn written(rig: &Rig, path: &str, step: u64) -> Option<v1::GangCheckpoint> {
    let blobs = BlobStore::local(&rig.work().join("blobs")).expect("opens");
    let blob = blobs.put(path, "parameters".into()).await.expect("is written");
    Some(v1::GangCheckpoint { step, blob: Some(blob.into()) })
}

fn path(task: &v1::GangTask, name: &str) -> String {
    let task = TaskId::try_from(task.task.clone().expect("is named")).expect("is whole");
    attempt_path(&task, name)
}

#[tokio::test]
async fn a_checkpoint_is_kept_and_the_next_leaders_gang_begins_with_it() {
    let rig = Rig::calm().await;
    let [(mut first, a), (mut second, b)] = gang(&rig).await;
    let (leading, lead, other) = if a.rank == 0 { (&a, &mut first, &b) } else { (&b, &mut second, &a) };
    let name = lead.name.clone();
    let request = |task: &v1::GangTask, checkpoint| v1::CheckpointGangRequest {
        worker: name.clone(),
        task: task.task.clone(),
        checkpoint,
    };
    let kept = written(&rig, &path(leading, "checkpoint-20"), 20).await;
    for (task, checkpoint, expected) in [
        (leading, kept.clone(), v1::CommitOutcome::Applied),
        (leading, kept.clone(), v1::CommitOutcome::Applied), // its answer was lost
        (leading, written(&rig, &path(leading, "checkpoint-10"), 10).await, v1::CommitOutcome::Stale),
        (other, written(&rig, &path(other, "checkpoint-30"), 30).await, v1::CommitOutcome::Stale),
    ] {
        let reply = lead.client.checkpoint_gang(request(task, checkpoint)).await.expect("is answered");
        assert_eq!(reply.into_inner().outcome(), expected);
    }
    let stray = written(&rig, &path(other, "checkpoint-30"), 30).await;
    let absent = kept.clone().map(|kept| v1::GangCheckpoint {
        step: 30,
        blob: kept.blob.map(|blob| v1::BlobRef { path: path(leading, "checkpoint-31"), ..blob }),
    });
    for (checkpoint, what) in [(stray, "its attempt"), (absent, "checkpoint-31"), (None, "lacks checkpoint")] {
        let refused = lead.client.checkpoint_gang(request(leading, checkpoint)).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(what), "{refused}");
    }
    drop((first, second));
    let rig = rig.restart().await;
    let (mut first, mut second) = (rig.worker("w1").await, rig.worker("w2").await);
    let (a, b) = (first.gang().await, second.gang().await);
    assert_eq!((a.checkpoint, b.checkpoint), (kept.clone(), kept));
}

#[tokio::test]
async fn steps_of_a_gang_are_its_progress() {
    let rig = Rig::calm().await;
    let [(first, a), _second] = gang(&rig).await;
    let progress = v1::TaskProgress { task: a.task, done: 7, total: 600, place: None };
    first.say(v1::worker_message::Kind::Progress(progress)).await;
    let mut audits = rig.audits().await;
    crate::rig::view_where(&mut audits, |view| (view.phases[2].done, view.phases[2].total) == (7, 600)).await;
}
