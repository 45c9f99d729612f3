use std::sync::Arc;

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn gang() -> GangId {
    (AuditId::new("a").expect("is an id"), PhaseIndex(5))
}

fn opened(generation: u64) -> Arc<Rendezvous> {
    let rendezvous = Rendezvous::default();
    rendezvous.open(gang(), Generation(generation));
    Arc::new(rendezvous)
}

/// A get that is already waiting when this returns.
async fn waiting(rendezvous: &Arc<Rendezvous>) -> tokio::task::JoinHandle<Result<Bytes, RendezvousError>> {
    let rendezvous = Arc::clone(rendezvous);
    let waiter = tokio::spawn(async move { rendezvous.get(&gang(), Generation(1), "k", LONG).await });
    tokio::task::yield_now().await; // on this one thread the waiter now runs until it waits
    assert!(!waiter.is_finished());
    waiter
}

#[tokio::test]
async fn a_get_waits_for_the_set() {
    let rendezvous = opened(1);
    let waiter = waiting(&rendezvous).await;
    rendezvous.set(&gang(), Generation(1), "k", Bytes::from_static(b"v")).expect("sets");
    assert_eq!(waiter.await.expect("ends").expect("gets"), "v");
}

#[tokio::test]
async fn a_get_ends_at_its_deadline() {
    let result = opened(1).get(&gang(), Generation(1), "k", Duration::from_millis(7)).await;
    assert_eq!(result, Err(RendezvousError::Deadline { key: "k".to_owned(), waited_ms: 7 }));
}

#[tokio::test]
async fn a_get_without_a_timeout_sees_what_is_there() {
    let rendezvous = opened(1);
    rendezvous.set(&gang(), Generation(1), "k", Bytes::from_static(b"v")).expect("sets");
    assert_eq!(rendezvous.get(&gang(), Generation(1), "k", Duration::ZERO).await.expect("gets"), "v");
}

#[tokio::test]
async fn sums_are_text_that_a_get_reads() {
    let rendezvous = opened(1);
    assert_eq!(rendezvous.add(&gang(), Generation(1), "n", 2), Ok(2));
    assert_eq!(rendezvous.add(&gang(), Generation(1), "n", -3), Ok(-1));
    assert_eq!(rendezvous.get(&gang(), Generation(1), "n", Duration::ZERO).await.expect("gets"), "-1");
    rendezvous.set(&gang(), Generation(1), "k", Bytes::from_static(b"v")).expect("sets");
    assert_eq!(rendezvous.add(&gang(), Generation(1), "k", 1), Err(RendezvousError::NotANumber("k".to_owned())));
}

#[tokio::test]
async fn a_newer_generation_ends_the_older_and_its_waiters() {
    let rendezvous = opened(1);
    let waiter = waiting(&rendezvous).await;
    rendezvous.open(gang(), Generation(2));
    assert_eq!(waiter.await.expect("ends"), Err(RendezvousError::Ended(Generation(1))));
    let stale = rendezvous.set(&gang(), Generation(1), "k", Bytes::new());
    assert!(matches!(stale, Err(RendezvousError::Stale { current: Some(Generation(2)), .. })), "{stale:?}");
}

#[tokio::test]
async fn opening_again_keeps_the_keys_and_an_older_one_changes_nothing() {
    let rendezvous = opened(2);
    rendezvous.set(&gang(), Generation(2), "k", Bytes::from_static(b"v")).expect("sets");
    rendezvous.open(gang(), Generation(2));
    rendezvous.open(gang(), Generation(1));
    assert_eq!(rendezvous.get(&gang(), Generation(2), "k", Duration::ZERO).await.expect("gets"), "v");
}

#[tokio::test]
async fn an_ended_phase_leaves_nothing() {
    let rendezvous = opened(1);
    let waiter = waiting(&rendezvous).await;
    rendezvous.retain(|_| false);
    assert_eq!(waiter.await.expect("ends"), Err(RendezvousError::Ended(Generation(1))));
    let gone = rendezvous.add(&gang(), Generation(1), "n", 1);
    assert!(matches!(gone, Err(RendezvousError::Stale { current: None, .. })), "{gone:?}");
}

#[tokio::test]
async fn a_huge_value_is_refused() {
    let value = Bytes::from(vec![0; MAX_VALUE_BYTES + 1]);
    let refused = opened(1).set(&gang(), Generation(1), "k", value);
    assert!(matches!(refused, Err(RendezvousError::Limit { .. })), "{refused:?}");
}
