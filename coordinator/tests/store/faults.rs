//! etcd's members die, stop and come back, and the network between loses answers.

use std::time::Duration;

use lethe_coordinator::store::{EtcdAddress, Outcome, Reign, Store, StoreError};
use lethe_servers::{EtcdCluster, EtcdOptions};
use tokio::time::{Instant, timeout};

use crate::proxy::{Mode, Proxy};
use crate::rig::{TTL, assert_applied, candidate, contents, fence, puts, raw, soon, until, version};

/// A new leader of etcd's takes up to two of its election times (1 s each).
const ETCD_ELECTION: Duration = Duration::from_secs(6);

async fn three() -> (EtcdCluster, Store, Reign) {
    let cluster = EtcdCluster::start(3, EtcdOptions::default()).expect("starts");
    let store = Store::connect(&EtcdAddress::new(cluster.endpoints())).await.expect("connects");
    let reign = store.campaign(&candidate("a")).await.expect("elects");
    (cluster, store, reign)
}

/// Commits one by one; gives how long each took.
async fn commit_some(store: &Store, reign: &Reign, numbers: std::ops::RangeInclusive<u64>) -> Vec<Duration> {
    let mut took = Vec::new();
    for number in numbers {
        let start = Instant::now();
        assert_applied(store.commit(fence(reign.term, number), &puts(&[("audit/a", &number.to_string())])).await);
        took.push(start.elapsed());
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_made_up_for_and_the_batch_is_there_once() {
    let cluster = EtcdCluster::start(1, EtcdOptions::default()).expect("starts");
    let proxy = Proxy::before(&cluster.endpoints()[0]).await;
    let store = Store::connect(&EtcdAddress::new(vec![proxy.endpoint()])).await.expect("connects");
    let reign = store.campaign(&candidate("a")).await.expect("elects");
    let mut client = raw(&cluster.endpoints()).await;

    proxy.lose(Mode::LoseAnswers);
    let batch = puts(&[("audit/a", "1")]);
    let committing = store.commit(fence(reign.term, 1), &batch);
    let mending = async {
        let mut seen = client.clone();
        while version(&mut seen, "audit/a").await == 0 {}
        proxy.mend();
    };
    let (outcome, ()) = soon("the commit", async { tokio::join!(committing, mending) }).await;
    assert_applied(outcome);
    assert_eq!(version(&mut client, "audit/a").await, 1, "it was written again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_resolved_by_the_same_batch() {
    for (losing, written) in [(Mode::LoseAnswers, 1), (Mode::LoseQuestions, 0)] {
        let cluster = EtcdCluster::start(1, EtcdOptions::default()).expect("starts");
        let proxy = Proxy::before(&cluster.endpoints()[0]).await;
        let store = Store::connect(&EtcdAddress::new(vec![proxy.endpoint()])).await.expect("connects");
        let reign = store.campaign(&candidate("a")).await.expect("elects");
        let mut client = raw(&cluster.endpoints()).await;
        let batch = puts(&[("audit/a", "1")]);

        proxy.lose(losing);
        let outcome = soon("the deadline", store.commit(fence(reign.term, 1), &batch)).await;
        let Outcome::Unknown(StoreError::Deadline { .. }) = &outcome else { panic!("{outcome:?}") };
        assert!(format!("{outcome:?}").contains(proxy.endpoint().trim_start_matches("http://")), "{outcome:?}");
        assert_eq!(version(&mut client, "audit/a").await, written, "the fault did not fire: {losing:?}");

        proxy.mend();
        assert_applied(soon("the resolution", store.commit(fence(reign.term, 1), &batch)).await);
        assert_eq!(version(&mut client, "audit/a").await, 1, "{losing:?}");
        assert_applied(store.commit(fence(reign.term, 2), &puts(&[("audit/a", "2")])).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_with_two_of_three_members() {
    let (mut cluster, store, reign) = three().await;
    commit_some(&store, &reign, 1..=5).await;
    let follower = (cluster.leader().expect("is led") + 1) % 3;
    cluster.kill(follower);
    let took = commit_some(&store, &reign, 6..=30).await;
    assert!(took.iter().max() < Some(&Duration::from_millis(1_500)), "a dead follower held a call up: {took:?}");
    cluster.restart(follower).expect("starts");
    cluster.wait_healthy().expect("is healthy");

    let leader = cluster.leader().expect("is led");
    cluster.kill(leader);
    let took = commit_some(&store, &reign, 31..=60).await;
    assert!(took.iter().max() < Some(&ETCD_ELECTION), "{took:?}");
    assert!(took[5..].iter().max() < Some(&Duration::from_millis(1_500)), "{took:?}");
    assert_eq!(contents(&store, "").await, [("audit/a".to_owned(), "60".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_etcd_leader_holds_nothing_up_for_long() {
    let (mut cluster, store, mut reign) = three().await;
    commit_some(&store, &reign, 1..=5).await;
    let leader = cluster.leader().expect("is led");
    cluster.stop_signal(leader);
    let took = commit_some(&store, &reign, 6..=20).await;
    assert!(took.iter().max() < Some(&ETCD_ELECTION), "{took:?}");
    assert!(took[5..].iter().max() < Some(&Duration::from_millis(1_500)), "{took:?}");
    assert!(timeout(TTL, reign.lost()).await.is_err(), "the seat was lost");
    cluster.cont(leader);
    commit_some(&store, &reign, 21..=25).await;
    assert_eq!(contents(&store, "").await, [("audit/a".to_owned(), "25".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_was_away_finds_the_same_leader_in_the_same_term() {
    let (mut cluster, store, mut reign) = three().await;
    commit_some(&store, &reign, 1..=5).await;
    (0..3).for_each(|member| cluster.kill(member));
    let batch = puts(&[("audit/b", "meanwhile")]);
    let outcome = store.commit(fence(reign.term, 6), &batch).await;
    assert!(matches!(outcome, Outcome::Unknown(StoreError::Deadline { .. })), "{outcome:?}");
    assert!(timeout(TTL, reign.lost()).await.is_err(), "silence was taken for a loss");

    (0..3).for_each(|member| cluster.restart(member).expect("starts"));
    cluster.wait_healthy().expect("is healthy");
    assert_applied(soon("the resolution", store.commit(fence(reign.term, 6), &batch)).await);
    until("the seat is kept again", || async { store.leader().await.is_ok_and(|leader| leader.is_some()) }).await;
    assert!(timeout(TTL * 2, reign.lost()).await.is_err(), "the seat was lost");
    assert_eq!(store.leader().await.expect("reads").expect("is led").term, reign.term);
    let whole = [("audit/a".to_owned(), "5".to_owned()), ("audit/b".to_owned(), "meanwhile".to_owned())];
    assert_eq!(contents(&store, "").await, whole);
    commit_some(&store, &reign, 7..=9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_at_the_address_is_told_with_the_address() {
    let mut cluster = EtcdCluster::start(1, EtcdOptions::default()).expect("starts");
    cluster.kill(0);
    let address = EtcdAddress::new(cluster.endpoints());
    let error = soon("the deadline", Store::connect(&address)).await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Deadline { .. }), "{error}");
    assert!(error.to_string().contains(address.endpoints[0].trim_start_matches("http://")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_etcd_keeps_its_other_keys() {
    let cluster = EtcdCluster::start(1, EtcdOptions::default()).expect("starts");
    let mut client = raw(&cluster.endpoints()).await;
    for key in ["/lethe", "/lethe0", "/other/audit/a"] {
        client.put(key, "theirs", None).await.expect("puts");
    }
    let host = cluster.endpoints()[0].trim_start_matches("http://").to_owned();
    for prefix in ["", "/lethe/second"] {
        // The second lies within the first, which tells so.
        let address: EtcdAddress = format!("etcd://{host}{prefix}").parse().expect("is an address");
        let store = Store::connect(&address).await.expect("connects");
        let reign = store.campaign(&candidate("a")).await.expect("elects");
        assert_applied(store.commit(fence(reign.term, 1), &puts(&[("audit/a", prefix)])).await);
        let forget = lethe_coordinator::store::Batch { forgets: vec!["audit".to_owned()], ..Default::default() };
        assert_applied(store.commit(fence(reign.term, 2), &forget).await);
        assert_eq!(contents(&store, "").await, []);
        reign.resign().await;
    }
    for key in ["/lethe", "/lethe0", "/other/audit/a"] {
        assert_eq!(client.get(key, None).await.expect("reads").kvs().len(), 1, "{key} is gone");
    }
}
