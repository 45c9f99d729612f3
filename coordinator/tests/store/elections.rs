//! Who may lead: one at a time, whoever comes first, and the next soon after.

use std::sync::Arc;

use lethe_common::ids::Term;
use lethe_coordinator::store::{Leader, Outcome};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::on_both;
use crate::rig::{Rig, TTL, assert_applied, candidate, contents, fence, puts, raw, soon, until};

on_both! {
    all_that_start_at_once_open_a_new_store
    two_candidates_make_one_reign
    one_that_resigns_is_followed_within_a_second
    one_that_is_killed_is_followed_after_the_ttl
    a_deposed_leader_writes_nothing
}

async fn all_that_start_at_once_open_a_new_store(rig: Rig) {
    let rig = Arc::new(rig);
    let mut starting = JoinSet::new();
    for _ in 0..32 {
        let rig = rig.clone();
        starting.spawn(async move { drop(rig.open().await) });
    }
    soon("the stores", starting.join_all()).await;
}

async fn two_candidates_make_one_reign(rig: Rig) {
    let (store, mut first) = rig.stand("a").await;
    // Longer than the ttl: what keeps the second out is the keepalive.
    let second = timeout(TTL * 2, rig.stand("b")).await;
    assert!(second.is_err(), "two lead");
    assert!(timeout(TTL / 3, first.lost()).await.is_err(), "the seat was lost to nobody");
    let leader = Leader { address: "http://a:1".to_owned(), term: first.term };
    assert_eq!(store.leader().await.expect("reads"), Some(leader));
    assert_applied(store.commit(fence(first.term, 1), &puts(&[("audit/a", "1")])).await);
}

async fn one_that_resigns_is_followed_within_a_second(rig: Rig) {
    let (store, first) = rig.stand("a").await;
    let term = first.term;
    let standby = async { (rig.stand("b").await, Instant::now()) };
    let leave = async {
        timeout(TTL / 6, std::future::pending::<()>()).await.ok(); // the standby stands by
        let left = Instant::now();
        first.resign().await;
        drop(store);
        left
    };
    let (((_, second), elected), left) = soon("the second", async { tokio::join!(standby, leave) }).await;
    assert_eq!(second.term, Term(term.0 + 1));
    assert!(elected - left < TTL / 3, "{:?}", elected - left);
}

async fn one_that_is_killed_is_followed_after_the_ttl(rig: Rig) {
    let (store, first) = rig.stand("a").await;
    let term = first.term;
    let gone = Instant::now();
    drop((store, first)); // as a death does, it stops the keepalive and tells nobody
    let (_, second) = soon("the second", rig.stand("b")).await;
    assert_eq!(second.term, Term(term.0 + 1));
    if rig.is_etcd() {
        assert!(gone.elapsed() > TTL / 2, "it did not wait for the lease: {:?}", gone.elapsed());
    }
    assert!(gone.elapsed() < TTL * 3, "{:?}", gone.elapsed());
}

async fn a_deposed_leader_writes_nothing(rig: Rig) {
    let (store, first) = rig.stand("a").await;
    let old = first.term;
    assert_applied(store.commit(fence(old, 1), &puts(&[("audit/a", "old")])).await);
    drop(first);
    let second = soon("the second", store.campaign(&candidate("b"))).await.expect("elects");
    let outcome = store.commit(fence(old, 2), &puts(&[("audit/a", "new")])).await;
    assert!(matches!(outcome, Outcome::Conflict { current } if current == second.term), "{outcome:?}");
    assert_eq!(contents(&store, "").await, [("audit/a".to_owned(), "old".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leader_that_is_seen_is_a_loss() {
    let rig = Rig::etcd();
    let (_store, mut reign) = rig.stand("a").await;
    let other = format!("{{\"address\":\"http://b:1\",\"term\":{}}}", reign.term.0 + 1);
    rig.overwrite("2/leader", other.as_bytes()).await;
    let reason = soon("the loss", reign.lost()).await;
    assert!(reason.contains("http://b:1"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_term_without_a_leader_is_a_loss() {
    let rig = Rig::etcd();
    let Rig::Etcd(cluster) = &rig else { panic!("is another rig") };
    let (_store, mut reign) = rig.stand("a").await;
    let mut client = raw(&cluster.endpoints()).await;
    let newer = format!("{{\"term\":{},\"batch\":0}}", reign.term.0 + 1);
    rig.overwrite("1/term", newer.as_bytes()).await;
    client.delete("/lethe/2/leader", None).await.expect("deletes");
    let reason = soon("the loss", reign.lost()).await;
    assert!(reason.contains("term"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_expired_unseen_is_taken_anew_in_the_same_term() {
    let rig = Rig::etcd();
    let Rig::Etcd(cluster) = &rig else { panic!("is another rig") };
    let (store, mut reign) = rig.stand("a").await;
    let mut client = raw(&cluster.endpoints()).await;
    let lease = client.get("/lethe/2/leader", None).await.expect("reads").kvs()[0].lease();
    client.lease_revoke(lease).await.expect("revokes");
    assert_eq!(store.leader().await.expect("reads"), None, "the fault did not fire");
    until("the seat is taken anew", || async { store.leader().await.expect("reads").is_some() }).await;
    assert_eq!(store.leader().await.expect("reads").expect("is led").term, reign.term);
    assert!(timeout(TTL * 2, reign.lost()).await.is_err(), "the seat was lost");
    assert!(store.leader().await.expect("reads").is_some(), "the new lease is not kept alive");
    assert_applied(store.commit(fence(reign.term, 1), &puts(&[("audit/a", "1")])).await);
}
