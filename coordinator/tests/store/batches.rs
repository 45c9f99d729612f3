//! What a batch is: whole or absent, in its turn, once; and what a store holds afterwards.

use lethe_common::ids::Term;
use lethe_coordinator::store::{Batch, MAX_BATCH_BYTES, MAX_OPERATIONS, Outcome, StoreError, records};

use crate::on_both;
use crate::rig::{Rig, assert_applied, candidate, contents, fence, puts, soon};

on_both! {
    a_batch_is_whole_or_absent
    an_older_term_conflicts
    a_batch_out_of_turn_is_refused
    a_batch_applied_before_its_answer_was_lost_is_applied_once
    a_prefix_loads_in_order_over_many_pages
    large_values_load_too
    a_forgotten_prefix_is_gone_and_its_neighbours_stay
    a_batch_too_large_is_refused_before_it_is_sent
    a_reopened_store_has_the_same
    what_no_build_wrote_is_named
    another_schema_is_refused
    keys_without_a_schema_are_refused
    upkeep_loses_nothing
}

async fn a_batch_is_whole_or_absent(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    assert_applied(store.commit(fence(reign.term, 1), &puts(&[("audit/a", "1"), ("audit/b", "1")])).await);
    let mixed = Batch { deletes: vec!["audit/a".to_owned()], ..puts(&[("audit/b", "2"), ("audit/c", "2")]) };
    assert_applied(store.commit(fence(reign.term, 2), &mixed).await);
    let whole = [("audit/b".to_owned(), "2".to_owned()), ("audit/c".to_owned(), "2".to_owned())];
    assert_eq!(contents(&store, "").await, whole);

    let late = Batch { deletes: vec!["audit/b".to_owned()], ..puts(&[("audit/c", "3")]) };
    let outcome = store.commit(fence(Term(reign.term.0 + 1), 3), &late).await;
    assert!(matches!(outcome, Outcome::Conflict { .. }), "{outcome:?}");
    assert_eq!(contents(&store, "").await, whole);
}

async fn an_older_term_conflicts(rig: Rig) {
    let (store, old) = rig.stand("a").await;
    let old_term = old.term;
    old.resign().await;
    let new = store.campaign(&candidate("a")).await.expect("elects");
    assert_eq!(new.term, Term(old_term.0 + 1));
    let outcome = store.commit(fence(old_term, 1), &puts(&[("audit/a", "1")])).await;
    assert!(matches!(outcome, Outcome::Conflict { current } if current == new.term), "{outcome:?}");
    assert_eq!(contents(&store, "").await, []);
}

async fn a_batch_out_of_turn_is_refused(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    for number in 1..=3 {
        assert_applied(store.commit(fence(reign.term, number), &puts(&[("audit/a", &number.to_string())])).await);
    }
    for wrong in [1, 2, 5] {
        let outcome = store.commit(fence(reign.term, wrong), &puts(&[("audit/a", "wrong")])).await;
        assert!(matches!(outcome, Outcome::Conflict { current } if current == reign.term), "{wrong}: {outcome:?}");
    }
    let zero = store.commit(fence(reign.term, 0), &puts(&[("audit/a", "wrong")])).await;
    assert!(matches!(zero, Outcome::Refused(StoreError::Batch { .. })), "{zero:?}");
    assert_eq!(contents(&store, "").await, [("audit/a".to_owned(), "3".to_owned())]);
}

/// The caller goes away while the batch is on its way; what becomes of it nobody tells.
async fn a_batch_applied_before_its_answer_was_lost_is_applied_once(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    let batch = puts(&[("audit/a", "1")]);
    {
        let mut unheard = Box::pin(store.commit(fence(reign.term, 1), &batch));
        assert!(futures::poll!(&mut unheard).is_pending(), "the store answered within one poll");
    }
    assert_applied(store.commit(fence(reign.term, 1), &batch).await);
    assert_applied(store.commit(fence(reign.term, 1), &batch).await);
    assert_applied(store.commit(fence(reign.term, 2), &puts(&[("audit/a", "2")])).await);
    assert_eq!(contents(&store, "").await, [("audit/a".to_owned(), "2".to_owned())]);
}

async fn a_prefix_loads_in_order_over_many_pages(rig: Rig) {
    const KEYS: usize = 2_500;
    let (store, reign) = rig.stand("a").await;
    let keys: Vec<String> = (0..KEYS).map(|n| format!("audit/a/{n:05}")).collect();
    let around = puts(&[("audit/A", "before"), ("audit/a0", "after")]);
    assert_applied(store.commit(fence(reign.term, 1), &around).await);
    for (number, some) in keys.chunks(MAX_OPERATIONS).enumerate() {
        let entries: Vec<(&str, &str)> = some.iter().map(|key| (key.as_str(), "x")).collect();
        assert_applied(store.commit(fence(reign.term, number as u64 + 2), &puts(&entries)).await);
    }
    let loaded: Vec<String> = contents(&store, "audit/a/").await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(loaded, keys);
    assert_eq!(store.load("").await.expect("loads").len(), KEYS + 2);
}

/// Ten megabytes in few keys: a page of them outgrows a message.
async fn large_values_load_too(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    for number in 1..=12_u64 {
        let batch =
            Batch { puts: vec![(format!("audit/{number:02}"), vec![number as u8; 900_000])], ..Batch::default() };
        assert_applied(store.commit(fence(reign.term, number), &batch).await);
    }
    let loaded = store.load("audit/").await.expect("loads");
    let expected: Vec<_> = (1..=12_u8).map(|n| (format!("audit/{n:02}"), vec![n; 900_000])).collect();
    assert!(loaded == expected, "{:?}", loaded.iter().map(|(key, value)| (key, value.len())).collect::<Vec<_>>());
}

async fn a_forgotten_prefix_is_gone_and_its_neighbours_stay(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    let many = puts(&[("audit/a/1", "1"), ("audit/a/2", "1"), ("audit/a.b/1", "1"), ("audit/b/1", "1")]);
    assert_applied(store.commit(fence(reign.term, 1), &many).await);
    let forget = Batch { forgets: vec!["audit/a/".to_owned()], ..puts(&[("audit/c/1", "1")]) };
    assert_applied(store.commit(fence(reign.term, 2), &forget).await);
    let left: Vec<String> = contents(&store, "").await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, ["audit/a.b/1", "audit/b/1", "audit/c/1"]);
}

async fn a_batch_too_large_is_refused_before_it_is_sent(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    let heavy = Batch { puts: vec![("audit/a".to_owned(), vec![0; MAX_BATCH_BYTES])], ..Batch::default() };
    let long = Batch { deletes: (0..=MAX_OPERATIONS).map(|n| format!("audit/{n}")).collect(), ..Batch::default() };
    for wrong in [heavy, long] {
        let outcome = store.commit(fence(reign.term, 1), &wrong).await;
        assert!(matches!(outcome, Outcome::Refused(StoreError::Batch { .. })), "{outcome:?}");
    }
    // The largest that is allowed is taken, by etcd with its defaults too.
    let full = (0..MAX_OPERATIONS).map(|n| (format!("audit/{n:03}"), vec![b'x'; MAX_BATCH_BYTES / MAX_OPERATIONS - 9]));
    assert_applied(store.commit(fence(reign.term, 1), &Batch { puts: full.collect(), ..Batch::default() }).await);
}

async fn a_reopened_store_has_the_same(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    let batch = puts(&[("audit/a", "1")]);
    assert_applied(store.commit(fence(reign.term, 1), &batch).await);
    let term = reign.term;
    drop((store, reign));

    let store = rig.open().await;
    assert_eq!(contents(&store, "").await, [("audit/a".to_owned(), "1".to_owned())]);
    assert_applied(store.commit(fence(term, 1), &batch).await); // the same, once more
    assert_applied(store.commit(fence(term, 2), &puts(&[("audit/b", "2")])).await);
}

async fn what_no_build_wrote_is_named(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    drop((store, reign));
    rig.overwrite("audit/a/0", b"{\"Audit\":").await;
    let error = records::load(&rig.open().await).await.expect_err("is damaged");
    assert!(matches!(&error, StoreError::Damaged { key, .. } if key == "audit/a/0"), "{error}");

    rig.overwrite("Another/key", b"1").await; // sorts before the audits
    let error = records::load(&rig.open().await).await.expect_err("is foreign");
    assert!(matches!(&error, StoreError::Damaged { key, .. } if key == "Another/key"), "{error}");
}

async fn another_schema_is_refused(rig: Rig) {
    drop(rig.open().await);
    rig.overwrite("0/schema", b"99").await;
    let error = rig.try_open().await.expect_err("is another build's");
    assert!(matches!(error, StoreError::Schema { found: 99 }), "{error}");
}

async fn keys_without_a_schema_are_refused(rig: Rig) {
    rig.overwrite("someone/else", b"1").await;
    let error = rig.try_open().await.expect_err("is no store");
    assert!(matches!(&error, StoreError::Damaged { key, .. } if key.ends_with("someone/else")), "{error}");
}

async fn upkeep_loses_nothing(rig: Rig) {
    let (store, reign) = rig.stand("a").await;
    for number in 1..=1_100 {
        assert_applied(store.commit(fence(reign.term, number), &puts(&[("audit/a", &number.to_string())])).await);
    }
    let found = soon("the upkeep", store.maintain()).await.expect("is kept up");
    assert_eq!(found.compacted, rig.is_etcd(), "a small file needs none, more revisions than are kept do");
    assert!(found.size_bytes >= found.used_bytes && found.used_bytes > 0, "{found:?}");
    assert!(!store.describe().is_empty());
    assert_eq!(contents(&store, "").await, [("audit/a".to_owned(), "1100".to_owned())]);
}
