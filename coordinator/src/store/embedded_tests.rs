use lethe_common::ids::{AuditId, PhaseIndex, ShardId};
use lethe_common::time::Millis;
use lethe_engine::{AuditRecord, AuditState, PageRecord, Plan, TaskResult};
use tempfile::tempdir;

use super::*;

fn audit(text: &str) -> AuditId {
    AuditId::new(text).expect("is an id")
}

fn records() -> Vec<Record> {
    let record = AuditRecord {
        plan: Plan { phases: Vec::new() },
        spec_json: "{}".to_owned(),
        submitted: Millis(7),
        state: AuditState::Running,
        outline: None,
    };
    let result = TaskResult { outputs: Vec::new(), counts: lethe_engine::Counts::default() };
    let page = PageRecord { done: [(ShardId(65), result)].into() };
    vec![Record::Audit(audit("a"), record), Record::Page(audit("a"), PhaseIndex(1), 1, page)]
}

/// Writes past the store's own rules, as a broken disk or a hand would.
fn overwrite(folder: &Path, key: &str, value: &[u8]) {
    let database = Database::create(folder.join(FILE_NAME)).expect("opens");
    let write = database.begin_write().expect("begins");
    write.open_table(TABLE).expect("has the table").insert(key, value).expect("writes");
    write.commit().expect("commits");
}

#[test]
fn a_reopened_store_has_the_records_and_a_higher_term() {
    let folder = tempdir().expect("makes a folder");
    let store = Store::open(folder.path()).expect("opens");
    let term = store.elect().expect("elects");
    assert!(matches!(store.commit(term, &records()), Outcome::Applied));
    drop(store);

    let again = Store::open(folder.path()).expect("opens again");
    assert_eq!(again.load().expect("loads"), records());
    assert_eq!(again.elect().expect("elects"), Term(term.0 + 1));
}

#[test]
fn an_older_leader_writes_nothing() {
    let folder = tempdir().expect("makes a folder");
    let store = Store::open(folder.path()).expect("opens");
    let old = store.elect().expect("elects");
    let new = store.elect().expect("elects");
    let outcome = store.commit(old, &records());
    assert!(matches!(outcome, Outcome::Conflict { current } if current == new), "{outcome:?}");
    assert_eq!(store.load().expect("loads"), []);
}

#[test]
fn a_second_coordinator_is_told_about_the_first() {
    let folder = tempdir().expect("makes a folder");
    let _first = Store::open(folder.path()).expect("opens");
    let second = Store::open(folder.path()).expect_err("is locked");
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
    assert!(second.to_string().contains("another coordinator"), "{second}");
}

#[test]
fn a_damaged_value_names_its_key() {
    let folder = tempdir().expect("makes a folder");
    let store = Store::open(folder.path()).expect("opens");
    let term = store.elect().expect("elects");
    store.commit(term, &records());
    drop(store);
    overwrite(folder.path(), "audit/a/0", b"{\"Audit\":");
    let error = Store::open(folder.path()).expect("opens").load().expect_err("is damaged");
    assert!(matches!(&error, StoreError::Damaged { key, .. } if key == "audit/a/0"), "{error}");
}

#[test]
fn a_record_in_another_ones_place_is_damage() {
    let folder = tempdir().expect("makes a folder");
    drop(Store::open(folder.path()).expect("opens"));
    let value = serde_json::to_vec(&records()[0]).expect("is JSON");
    overwrite(folder.path(), "audit/b/0", &value);
    let error = Store::open(folder.path()).expect("opens").load().expect_err("is damaged");
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
