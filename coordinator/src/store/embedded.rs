//! The store on redb. Its file lock is the lease: who holds the file leads.
//!
//! It must never keep state beside the file; a second handle after a crash sees the same.

use std::path::Path;

use lethe_common::ids::Term;
use lethe_engine::Record;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::key::{RECORDS, RECORDS_END, SCHEMA, TERM, encode};
use super::{Outcome, SCHEMA_VERSION, StoreError};

const FILE_NAME: &str = "store.redb";
const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("lethe");

#[derive(Debug)]
pub struct Store {
    database: Database,
}

/// Any of redb's errors as ours.
fn access(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Access(Box::new(error.into()))
}

impl Store {
    /// Opens the store of a work folder, making both where they are missing, and locks it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process or handle has it open, [`StoreError::Schema`] for
    /// another version's file, [`StoreError::Open`] for a file that is no store.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let failed = |reason: String| StoreError::Open { path: path.clone(), reason };
        std::fs::create_dir_all(folder).map_err(|e| failed(e.to_string()))?;
        let database = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { folder: folder.to_owned() },
            other => failed(other.to_string()),
        })?;
        let store = Self { database };
        store.check_schema()?;
        Ok(store)
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(access)?;
        {
            let mut table = write.open_table(TABLE).map_err(access)?;
            let found = number(&table, SCHEMA)?;
            match found {
                Some(SCHEMA_VERSION) => return Ok(()),
                Some(found) => return Err(StoreError::Schema { found }),
                None => put_number(&mut table, SCHEMA, SCHEMA_VERSION)?,
            }
        }
        write.commit().map_err(access)
    }

    /// Begins a new term, one above the last: from here on every older leader's batch conflicts.
    pub fn elect(&self) -> Result<Term, StoreError> {
        let write = self.database.begin_write().map_err(access)?;
        let term = {
            let mut table = write.open_table(TABLE).map_err(access)?;
            let term = number(&table, TERM)?.unwrap_or(0) + 1;
            put_number(&mut table, TERM, term)?;
            term
        };
        write.commit().map_err(access)?;
        Ok(Term(term))
    }

    /// All records, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the key whose value is not the record that belongs there.
    pub fn load(&self) -> Result<Vec<Record>, StoreError> {
        let table = self.database.begin_read().map_err(access)?.open_table(TABLE).map_err(access)?;
        let mut records = Vec::new();
        for entry in table.range(RECORDS..RECORDS_END).map_err(access)? {
            let (key, value) = entry.map_err(access)?;
            records.push(decode(key.value(), value.value())?);
        }
        Ok(records)
    }

    /// Writes all records or none, durably, if `fence` is still the current term.
    pub fn commit(&self, fence: Term, records: &[Record]) -> Outcome {
        match self.try_commit(fence, records) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Unknown(error),
        }
    }

    fn try_commit(&self, fence: Term, records: &[Record]) -> Result<Outcome, StoreError> {
        let write = self.database.begin_write().map_err(access)?;
        {
            let mut table = write.open_table(TABLE).map_err(access)?;
            let current = Term(number(&table, TERM)?.unwrap_or(0));
            if current != fence {
                return Ok(Outcome::Conflict { current });
            }
            for record in records {
                let value = serde_json::to_vec(record).expect("a record has text keys only, which JSON can hold");
                table.insert(encode(&record.key()).as_str(), value.as_slice()).map_err(access)?;
            }
        }
        write.commit().map_err(access)?;
        Ok(Outcome::Applied)
    }
}

fn decode(key: &str, value: &[u8]) -> Result<Record, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { key: key.to_owned(), reason };
    let record: Record = serde_json::from_slice(value).map_err(|e| damaged(e.to_string()))?;
    let home = encode(&record.key());
    if home == key { Ok(record) } else { Err(damaged(format!("it holds the record of {home:?}"))) }
}

fn number(table: &impl ReadableTable<&'static str, &'static [u8]>, key: &str) -> Result<Option<u64>, StoreError> {
    let Some(value) = table.get(key).map_err(access)? else { return Ok(None) };
    serde_json::from_slice(value.value())
        .map(Some)
        .map_err(|e| StoreError::Damaged { key: key.to_owned(), reason: e.to_string() })
}

fn put_number(table: &mut redb::Table<'_, &str, &[u8]>, key: &str, value: u64) -> Result<(), StoreError> {
    table.insert(key, value.to_string().as_bytes()).map(drop).map_err(access)
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
