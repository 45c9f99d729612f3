use std::sync::atomic::{AtomicBool, Ordering};

use lethe_common::time::Millis;
use lethe_engine::{AuditRecord, Change, Fate, Options, Plan, Record, SegmentRecord};
use tempfile::tempdir;

use super::*;
use crate::store::{Store, records};
use lethe_common::ids::{AuditId, PhaseIndex, ShardId};

fn audit(text: &str) -> AuditId {
    AuditId::new(text).expect("is an id")
}

fn sample() -> Vec<Record> {
    let plan = Plan { phases: Vec::new() };
    let record = AuditRecord::submitted(plan, "{}".to_owned(), Options::default(), Millis(7));
    let lost = Fate::Quarantined { tries: 5, reason: "it was cut".to_owned() };
    let segment = SegmentRecord { entries: vec![(ShardId(65), lost)] };
    vec![Record::Audit(audit("a"), record), Record::Segment(audit("a"), PhaseIndex(1), 1, segment)]
}

fn changes() -> Vec<Change> {
    sample().into_iter().map(Change::Put).collect()
}

/// Writes past the store's own rules, as a broken disk or a hand would.
fn overwrite(folder: &Path, key: &str, value: &[u8]) {
    let database = Database::create(folder.join(FILE_NAME)).expect("opens");
    let write = database.begin_write().expect("begins");
    write.open_table(TABLE).expect("has the table").insert(key, value).expect("writes");
    write.commit().expect("commits");
}

async fn filled(folder: &Path) -> Store {
    let store = Store::open(folder).expect("opens");
    let me = Candidate { address: "here".to_owned(), ttl: std::time::Duration::from_secs(1) };
    let term = store.campaign(&me).await.expect("elects").term;
    let outcome = store.commit(Fence { term, batch: 1 }, &records::batch(&changes())).await;
    assert!(matches!(outcome, Outcome::Applied), "{outcome:?}");
    store
}

#[tokio::test]
async fn a_reopened_store_has_the_records() {
    let folder = tempdir().expect("makes a folder");
    drop(filled(folder.path()).await);
    let again = Store::open(folder.path()).expect("opens again");
    assert_eq!(records::load(&again).await.expect("loads"), sample());
}

#[test]
fn a_second_coordinator_is_told_about_the_first() {
    let folder = tempdir().expect("makes a folder");
    let _first = Store::open(folder.path()).expect("opens");
    let second = Store::open(folder.path()).expect_err("is locked");
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
    assert!(second.to_string().contains("another coordinator"), "{second}");
}

#[tokio::test]
async fn a_damaged_value_names_its_key() {
    let folder = tempdir().expect("makes a folder");
    drop(filled(folder.path()).await);
    overwrite(folder.path(), "audit/a/0", b"{\"Audit\":");
    let error = records::load(&Store::open(folder.path()).expect("opens")).await.expect_err("is damaged");
    assert!(matches!(&error, StoreError::Damaged { key, .. } if key == "audit/a/0"), "{error}");
}

#[tokio::test]
async fn a_record_in_another_ones_place_is_damage() {
    let folder = tempdir().expect("makes a folder");
    drop(Store::open(folder.path()).expect("opens"));
    let value = serde_json::to_vec(&sample()[0]).expect("is JSON");
    overwrite(folder.path(), "audit/b/0", &value);
    let error = records::load(&Store::open(folder.path()).expect("opens")).await.expect_err("is damaged");
    assert!(error.to_string().contains("audit/a/0"), "{error}");
}

#[test]
fn another_schema_is_refused() {
    let folder = tempdir().expect("makes a folder");
    drop(Store::open(folder.path()).expect("opens"));
    overwrite(folder.path(), SCHEMA, b"99");
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Schema { found: 99 })));
}

#[test]
fn a_file_that_is_no_store_is_named() {
    let folder = tempdir().expect("makes a folder");
    std::fs::write(folder.path().join(FILE_NAME), "not a store").expect("writes");
    let error = Store::open(folder.path()).expect_err("is refused");
    assert!(error.to_string().contains(FILE_NAME), "{error}");
}

#[tokio::test]
async fn a_mostly_free_file_is_compacted_and_keeps_what_it_has() {
    let folder = tempdir().expect("makes a folder");
    let store = filled(folder.path()).await;
    let Store::Embedded(embedded) = &store else { panic!("is another store") };
    let large = |n: u64| Batch { puts: vec![(format!("audit/x/{n}"), vec![7; 900_000])], ..Batch::default() };
    for n in 2..40 {
        let outcome = store.commit(Fence { term: Term(1), batch: n }, &large(n)).await;
        assert!(matches!(outcome, Outcome::Applied), "{outcome:?}");
    }
    assert!(!store.maintain().await.expect("is kept up").compacted, "a full file was compacted");
    let forget = Batch { forgets: vec!["audit/x/".to_owned()], ..Batch::default() };
    assert!(matches!(store.commit(Fence { term: Term(1), batch: 40 }, &forget).await, Outcome::Applied));
    let before = embedded.inner.measure().expect("measures").size_bytes;
    // Commits go on meanwhile, one after the other.
    let stop = Arc::new(AtomicBool::new(false));
    let (begun, begins) = std::sync::mpsc::channel();
    let beside = std::thread::spawn({
        let (inner, stop) = (Arc::clone(&embedded.inner), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::SeqCst) {
                inner.write(|table| put(table, "audit/beside", b"x")).expect("writes");
                begun.send(()).ok(); // heard once
            }
        }
    });
    begins.recv().expect("writes");
    let after = store.maintain().await;
    stop.store(true, Ordering::SeqCst);
    beside.join().expect("ends well");
    let after = after.expect("is kept up");
    let gone = Batch { deletes: vec!["audit/beside".to_owned()], ..Batch::default() };
    assert!(matches!(store.commit(Fence { term: Term(1), batch: 41 }, &gone).await, Outcome::Applied));
    assert!(after.compacted && after.size_bytes < before / 2, "{before} {after:?}");
    assert_eq!(records::load(&store).await.expect("loads"), sample());
}

#[tokio::test]
async fn a_store_of_the_last_release_is_migrated_whole_and_its_terms_go_on() {
    let folder = tempdir().expect("makes a folder");
    let audit_json =
        r#"{"Audit":["drill",{"plan":{"phases":[]},"spec_json":"{}","submitted":7,"state":"Running","outline":null}]}"#;
    let page = r#"{"Page":["drill",1,1,{"done":{"65":{"outputs":[],"counts":{"read":3,"scored":2,"failed":1}}}}]}"#;
    let path = folder.path().join(FILE_NAME);
    let database = Database::create(&path).expect("makes one");
    let write = database.begin_write().expect("begins");
    {
        let mut table = write.open_table(TABLE).expect("has the table");
        for (key, value) in [
            ("0/schema", "1"),
            ("1/term", "4"),
            ("audit/drill/0", audit_json),
            ("audit/drill/phase/00001/page/0000001", page),
        ] {
            table.insert(key, value.as_bytes()).expect("writes");
        }
    }
    write.commit().expect("commits");
    drop(database);

    let store = Store::open(folder.path()).expect("migrates");
    let loaded = records::load(&store).await.expect("loads");
    let [Record::Audit(_, record), Record::Segment(_, PhaseIndex(1), 1, segment)] = &loaded[..] else {
        panic!("{loaded:?}")
    };
    assert_eq!((record.submitted, segment.entries.len()), (Millis(7), 1));
    let me = Candidate { address: "here".to_owned(), ttl: std::time::Duration::from_secs(1) };
    assert_eq!(store.campaign(&me).await.expect("elects").term.0, 5, "a term never comes twice");
}
