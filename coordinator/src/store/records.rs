//! The engine's changes as the store's keys and bytes: audits and phases as JSON, segments packed.
//!
//! It must never pass over what no build of ours wrote: that is damage, and it is named.

use lethe_engine::{Change, Record, RecordKey};

use super::key::{all_of, encode as encode_key};
use super::{Batch, Store, StoreError, segment};

/// A batch that makes these changes.
pub fn batch(changes: &[Change]) -> Batch {
    let mut batch = Batch::default();
    for change in changes {
        match change {
            Change::Put(record) => batch.puts.push(encode(record)),
            Change::Forget(audit) => batch.forgets.push(all_of(audit)),
        }
    }
    batch
}

/// All records of a store, in the order of their keys.
///
/// # Errors
/// [`StoreError::Damaged`] names the key whose value is not the record that belongs there.
pub async fn load(store: &Store) -> Result<Vec<Record>, StoreError> {
    store.load("").await?.iter().map(|(key, value)| decode(key, value)).collect()
}

fn encode(record: &Record) -> (String, Vec<u8>) {
    let value = match record {
        Record::Audit(..) | Record::Phase(..) => {
            serde_json::to_vec(record).expect("a record has text keys only, which JSON can hold")
        }
        Record::Segment(_, _, _, record) => segment::encode(record),
    };
    (encode_key(&record.key()), value)
}

fn decode(key: &str, value: &[u8]) -> Result<Record, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { key: key.to_owned(), reason };
    if let Some(RecordKey::Segment(audit, phase, number)) = segment::key(key) {
        let record = segment::decode(value).map_err(damaged)?;
        return Ok(Record::Segment(audit, phase, number, record));
    }
    let record: Record = serde_json::from_slice(value).map_err(|e| damaged(e.to_string()))?;
    let home = encode_key(&record.key());
    if home == key { Ok(record) } else { Err(damaged(format!("it holds the record of {home:?}"))) }
}
