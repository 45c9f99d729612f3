//! The engine's records as the store's keys and bytes: JSON under the keys of [`super::key`].
//!
//! It must never pass over what no build of ours wrote: that is damage, and it is named.

use lethe_engine::Record;

use super::key::encode as encode_key;
use super::{Batch, Store, StoreError};

/// A batch that puts these records.
pub fn batch(records: &[Record]) -> Batch {
    Batch { puts: records.iter().map(encode).collect(), ..Batch::default() }
}

/// All records of a store, in the order of their keys.
///
/// # Errors
/// [`StoreError::Damaged`] names the key whose value is not the record that belongs there.
pub async fn load(store: &Store) -> Result<Vec<Record>, StoreError> {
    store.load("").await?.iter().map(|(key, value)| decode(key, value)).collect()
}

fn encode(record: &Record) -> (String, Vec<u8>) {
    let value = serde_json::to_vec(record).expect("a record has text keys only, which JSON can hold");
    (encode_key(&record.key()), value)
}

fn decode(key: &str, value: &[u8]) -> Result<Record, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { key: key.to_owned(), reason };
    let record: Record = serde_json::from_slice(value).map_err(|e| damaged(e.to_string()))?;
    let home = encode_key(&record.key());
    if home == key { Ok(record) } else { Err(damaged(format!("it holds the record of {home:?}"))) }
}
