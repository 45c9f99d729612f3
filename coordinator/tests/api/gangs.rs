//! A gang over the wire: ranks start together and meet at the rendezvous of their generation.

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

#[tokio::test]
async fn steps_of_a_gang_are_its_progress() {
    let rig = Rig::calm().await;
    let [(first, a), _second] = gang(&rig).await;
    let progress = v1::TaskProgress { task: a.task, done: 7, total: 600 };
    first.say(v1::worker_message::Kind::Progress(progress)).await;
    let mut audits = rig.audits().await;
    crate::rig::view_where(&mut audits, |view| (view.phases[2].done, view.phases[2].total) == (7, 600)).await;
}
