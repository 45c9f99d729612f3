//! The durable state, as bytes under ordered keys: one redb file of the work folder, or etcd.
//!
//! It must never decide what is true, only keep it: a batch is whole and durable, or it is not there,
//! nothing is written for a leader whose term is over, and no batch is written twice.

mod address;
mod batch;
mod election;
mod embedded;
mod error;
mod etcd;
mod jitter;
mod key;
mod migration;
mod own;
pub mod records;
mod segment;

use std::path::Path;

pub use address::EtcdAddress;
pub use batch::{Batch, Fence, MAX_BATCH_BYTES, MAX_OPERATIONS, Outcome};
pub use election::{Candidate, Leader, Reign};
pub use embedded::EmbeddedStore;
pub use error::StoreError;
pub use etcd::EtcdStore;
pub use jitter::draw;

/// What keys and values look like; a store of another version is refused.
pub const SCHEMA_VERSION: u64 = 2;

/// A store of either kind. A clone is the same store.
#[derive(Debug, Clone)]
pub enum Store {
    Embedded(EmbeddedStore),
    Etcd(EtcdStore),
}

/// What a store's upkeep found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintained {
    /// Of the file, or of the largest member's database.
    pub size_bytes: u64,
    /// What of it holds data; the rest is free for reuse.
    pub used_bytes: u64,
    /// Where the store tells (etcd does since 3.6).
    pub quota_bytes: Option<u64>,
    /// Whether old revisions or free pages were given up.
    pub compacted: bool,
}

impl Store {
    /// Opens the embedded store of a work folder, making both where they are missing, and locks it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process or handle has it open, [`StoreError::Schema`] for
    /// another version's file, [`StoreError::Open`] for a file that is no store.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        EmbeddedStore::open(folder).map(Self::Embedded)
    }

    /// Opens the store at an etcd.
    ///
    /// # Errors
    /// [`StoreError::Deadline`] where no majority answers, [`StoreError::Schema`] for another version's
    /// keys, [`StoreError::Damaged`] for a prefix that holds something else.
    pub async fn connect(address: &EtcdAddress) -> Result<Self, StoreError> {
        EtcdStore::open(address).await.map(Self::Etcd)
    }

    /// Writes the whole batch or nothing, durably and once, if `fence` is the next of the current term.
    pub async fn commit(&self, fence: Fence, batch: &Batch) -> Outcome {
        if let Err(error) = batch.check() {
            return Outcome::Refused(error);
        }
        let Some(before) = fence.before() else {
            return Outcome::Refused(StoreError::Batch { reason: "batches are numbered from 1".to_owned() });
        };
        match self {
            Self::Embedded(store) => store.commit(before, fence, batch).await,
            Self::Etcd(store) => store.commit(before, fence, batch).await,
        }
    }

    /// Every key that begins with `prefix` and its value, in the order of the keys, as of one moment.
    pub async fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        match self {
            Self::Embedded(store) => store.load(prefix).await,
            Self::Etcd(store) => store.load(prefix).await,
        }
    }

    /// Gives up what is no longer needed: old revisions, or free pages. For the leader, every few minutes.
    pub async fn maintain(&self) -> Result<Maintained, StoreError> {
        match self {
            Self::Embedded(store) => store.maintain().await,
            Self::Etcd(store) => store.maintain().await,
        }
    }

    /// Where it is, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Embedded(store) => store.describe(),
            Self::Etcd(store) => store.describe(),
        }
    }
}
