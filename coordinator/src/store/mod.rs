//! The durable state in one redb file of the work folder: the engine's records under ordered keys.
//!
//! It must never decide what is true, only keep it: a batch is whole and durable, or it is not there,
//! and nothing is written for a leader whose term is over.

mod embedded;
mod key;

use std::path::PathBuf;

use lethe_common::ids::Term;

pub use embedded::Store;

/// What the records' JSON looks like; a store of another version is refused.
pub const SCHEMA_VERSION: u64 = 1;

/// What became of a batch.
#[derive(Debug)]
pub enum Outcome {
    /// It is durable.
    Applied,
    /// Nothing was written: a newer leader was elected.
    Conflict { current: Term },
    /// It may be durable or not; only reading the store again tells.
    Unknown(StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "another coordinator already works in {}: stop it, or choose another work folder",
        folder.display()
    )]
    Locked { folder: PathBuf },
    #[error("cannot open the store {}: {reason}", path.display())]
    Open { path: PathBuf, reason: String },
    #[error(
        "the store has schema version {found}, this build reads {SCHEMA_VERSION}: use the build that wrote it, or a new work folder"
    )]
    Schema { found: u64 },
    #[error(
        "the store is damaged at key {key:?}: {reason}; expected what this coordinator wrote: restore the work folder, or start in a new one"
    )]
    Damaged { key: String, reason: String },
    #[error("the store cannot be read or written: {0}")]
    Access(#[from] Box<redb::Error>),
}
