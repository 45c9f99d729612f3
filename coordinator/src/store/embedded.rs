//! The store on redb. Its file lock is the lease: who holds the file leads.
//!
//! It must never keep state beside the file that a second handle after a crash would need.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use lethe_common::ids::Term;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::own::{SCHEMA, TERM, is_own};
use super::{Batch, Candidate, Fence, Leader, Maintained, Outcome, SCHEMA_VERSION, StoreError, migration};

const FILE_NAME: &str = "store.redb";
const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("lethe");
/// A file is compacted once it is larger than this and mostly free: compaction copies all of it.
const WORTH_COMPACTING_BYTES: u64 = 16 << 20;

type Table<'t> = redb::Table<'t, &'static str, &'static [u8]>;

#[derive(Debug, Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Written only by a compaction, which needs the file alone.
    database: RwLock<Database>,
    leader: Mutex<Option<Leader>>,
}

/// Any of redb's errors as ours.
fn access(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Access(Box::new(error.into()))
}

impl EmbeddedStore {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let failed = |reason: String| StoreError::Open { path: path.clone(), reason };
        std::fs::create_dir_all(folder).map_err(|e| failed(e.to_string()))?;
        let database = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { folder: folder.to_owned() },
            other => failed(other.to_string()),
        })?;
        let inner = Inner { folder: folder.to_owned(), database: RwLock::new(database), leader: Mutex::default() };
        inner.check_schema()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Begins a new term, one above the last: from here on every older leader's batch conflicts.
    pub(super) async fn elect(&self, me: &Candidate) -> Result<Term, StoreError> {
        let address = me.address.clone();
        self.blocking(move |inner| inner.elect(address)).await
    }

    pub(super) fn leader(&self) -> Option<Leader> {
        self.inner.leader_slot().clone()
    }

    pub(super) fn resign(&self, term: Term) {
        self.inner.leader_slot().take_if(|leader| leader.term == term);
    }

    pub(super) async fn commit(&self, before: Fence, fence: Fence, batch: &Batch) -> Outcome {
        let batch = batch.clone();
        let tried = self.blocking(move |inner| inner.commit(before, fence, &batch)).await;
        tried.unwrap_or_else(|error| match error {
            // redb answers nothing more after a failed write until the file is opened anew.
            StoreError::Access(ref latched) if matches!(**latched, redb::Error::PreviousIo) => Outcome::Refused(error),
            other => Outcome::Unknown(other),
        })
    }

    pub(super) async fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let prefix = prefix.to_owned();
        self.blocking(move |inner| inner.load(&prefix)).await
    }

    pub(super) async fn maintain(&self) -> Result<Maintained, StoreError> {
        self.blocking(Inner::maintain).await
    }

    pub(super) fn describe(&self) -> String {
        format!("{FILE_NAME} in {}", self.inner.folder.display())
    }

    /// Runs what waits for the disk on a thread that may wait; it goes on even if the caller does not.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()), // only a runtime's end cancels it
        }
    }
}

impl Inner {
    fn database(&self) -> RwLockReadGuard<'_, Database> {
        self.database.read().unwrap_or_else(PoisonError::into_inner) // redb's own state is transactional
    }

    fn leader_slot(&self) -> MutexGuard<'_, Option<Leader>> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner) // it is replaced whole
    }

    /// Runs a change in one transaction, which is durable once this returns.
    fn write<T>(&self, change: impl FnOnce(&mut Table<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // Held until the transaction ends: one that is open keeps the file from being compacted.
        let database = self.database();
        let write: WriteTransaction = database.begin_write().map_err(access)?;
        let changed = change(&mut write.open_table(TABLE).map_err(access)?)?;
        write.commit().map_err(access)?;
        Ok(changed)
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        self.write(|table| match read(table, SCHEMA)? {
            Some(value) if value == migration::FROM.to_string().as_bytes() => migrate(table),
            Some(value) => check_schema(&value),
            None => match first_key(table)? {
                Some(key) => Err(no_schema(key)),
                None => put(table, SCHEMA, SCHEMA_VERSION.to_string().as_bytes()),
            },
        })
    }

    fn elect(&self, address: String) -> Result<Term, StoreError> {
        let term = self.write(|table| {
            let last = current(table)?.map_or(0, |fence| fence.term.0);
            let fence = Fence { term: Term(last + 1), batch: 0 };
            put(table, TERM, &fence.encode())?;
            Ok(fence.term)
        })?;
        *self.leader_slot() = Some(Leader { address, term });
        Ok(term)
    }

    fn commit(&self, before: Fence, fence: Fence, batch: &Batch) -> Result<Outcome, StoreError> {
        self.write(|table| match current(table)? {
            Some(current) if current == before => {
                put(table, TERM, &fence.encode())?;
                apply(table, batch)?;
                Ok(Outcome::Applied)
            }
            Some(current) if current == fence => Ok(Outcome::Applied),
            Some(Fence { term, .. }) => Ok(Outcome::Conflict { current: term }),
            None => Ok(Outcome::Conflict { current: Term(0) }),
        })
    }

    fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let database = self.database();
        let table = database.begin_read().map_err(access)?.open_table(TABLE).map_err(access)?;
        let mut found = Vec::new();
        for entry in table.range(prefix..).map_err(access)? {
            let (key, value) = entry.map_err(access)?;
            if !key.value().starts_with(prefix) {
                break;
            }
            if !is_own(key.value()) {
                found.push((key.value().to_owned(), value.value().to_owned()));
            }
        }
        Ok(found)
    }

    fn maintain(&self) -> Result<Maintained, StoreError> {
        let before = self.measure()?;
        let compacted = before.size_bytes > WORTH_COMPACTING_BYTES && before.used_bytes < before.size_bytes / 2;
        if !compacted {
            return Ok(before);
        }
        self.database.write().unwrap_or_else(PoisonError::into_inner).compact().map_err(access)?;
        Ok(Maintained { compacted, ..self.measure()? })
    }

    fn measure(&self) -> Result<Maintained, StoreError> {
        let path = self.folder.join(FILE_NAME);
        let failed = |e: std::io::Error| StoreError::Open { path: path.clone(), reason: e.to_string() };
        let size_bytes = std::fs::metadata(&path).map_err(failed)?.len();
        let database = self.database();
        let write = database.begin_write().map_err(access)?;
        let stats = write.stats().map_err(access)?;
        write.abort().map_err(access)?;
        let used_bytes = stats.stored_bytes() + stats.metadata_bytes();
        Ok(Maintained { size_bytes, used_bytes, quota_bytes: None, compacted: false })
    }
}

/// Whether a schema's value is this build's.
pub(super) fn check_schema(value: &[u8]) -> Result<(), StoreError> {
    match serde_json::from_slice(value) {
        Ok(SCHEMA_VERSION) => Ok(()),
        Ok(found) => Err(StoreError::Schema { found }),
        Err(e) => Err(StoreError::Damaged { key: SCHEMA.to_owned(), reason: e.to_string() }),
    }
}

/// Every record as this schema has it, and the schema last; the caller's transaction makes it one change.
fn migrate(table: &mut Table<'_>) -> Result<(), StoreError> {
    for key in keys(table, "")?.iter().filter(|key| !is_own(key)) {
        let value = read(table, key)?.unwrap_or_default();
        if let Some((home, value)) = migration::moved(key, &value)? {
            table.remove(key.as_str()).map_err(access)?;
            put(table, &home, &value)?;
        }
    }
    if let Some(term) = read(table, TERM)? {
        let damaged = |e: serde_json::Error| StoreError::Damaged { key: TERM.to_owned(), reason: e.to_string() };
        put(table, TERM, &migration::fence(&term).map_err(damaged)?.encode())?;
    }
    tracing::info!(
        from = migration::FROM,
        to = SCHEMA_VERSION,
        "the store was written by an earlier release: migrated"
    );
    put(table, SCHEMA, SCHEMA_VERSION.to_string().as_bytes())
}

/// A store that has keys but no schema is none of ours.
pub(super) fn no_schema(key: String) -> StoreError {
    StoreError::Damaged { key, reason: format!("it lies in a store without {SCHEMA}") }
}

fn current(table: &Table<'_>) -> Result<Option<Fence>, StoreError> {
    read(table, TERM)?.as_deref().map(Fence::decode).transpose()
}

fn first_key(table: &Table<'_>) -> Result<Option<String>, StoreError> {
    Ok(table.first().map_err(access)?.map(|(key, _)| key.value().to_owned()))
}

fn read(table: &Table<'_>, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(table.get(key).map_err(access)?.map(|value| value.value().to_owned()))
}

fn put(table: &mut Table<'_>, key: &str, value: &[u8]) -> Result<(), StoreError> {
    table.insert(key, value).map(drop).map_err(access)
}

fn apply(table: &mut Table<'_>, batch: &Batch) -> Result<(), StoreError> {
    for prefix in &batch.forgets {
        for key in keys(table, prefix)? {
            table.remove(key.as_str()).map_err(access)?;
        }
    }
    for key in &batch.deletes {
        table.remove(key.as_str()).map_err(access)?;
    }
    for (key, value) in &batch.puts {
        put(table, key, value)?;
    }
    Ok(())
}

fn keys(table: &Table<'_>, prefix: &str) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for entry in table.range(prefix..).map_err(access)? {
        let (key, _) = entry.map_err(access)?;
        if !key.value().starts_with(prefix) {
            break;
        }
        found.push(key.value().to_owned());
    }
    Ok(found)
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
