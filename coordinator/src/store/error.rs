//! What can be wrong with a store, told to people.
//!
//! It must never leave out what to do.

use std::path::PathBuf;

use super::SCHEMA_VERSION;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "another coordinator already works in {}: stop it, or choose another work folder",
        folder.display()
    )]
    Locked { folder: PathBuf },
    #[error("cannot open the store {}: {reason}", path.display())]
    Open { path: PathBuf, reason: String },
    #[error("the store's address {address:?} is none: {reason}; expected etcd://HOST:PORT,HOST:PORT,...[/PREFIX]")]
    Address { address: String, reason: String },
    #[error(
        "the store has schema version {found}, this build reads {SCHEMA_VERSION}: use the build that wrote it, or a new store"
    )]
    Schema { found: u64 },
    #[error(
        "the store is damaged at key {key:?}: {reason}; expected what a coordinator wrote: restore the store, or start with a new one"
    )]
    Damaged { key: String, reason: String },
    #[error("a batch is refused before it is sent, which is a bug of this build: {reason}")]
    Batch { reason: String },
    #[error("{store} did not {action} within {seconds:.1} s: check that a majority of its members runs ({last})")]
    Deadline { store: String, action: &'static str, seconds: f64, last: String },
    #[error(
        "{store} is full: {size_bytes} bytes of a quota of {quota}, compacted and defragmented already: remove old audits, or raise --quota-backend-bytes of every member"
    )]
    NoSpace { store: String, size_bytes: u64, quota: String },
    #[error(
        "{store} did not {action}: the lease for it had expired, since etcd answers slowly; another try gets a new one"
    )]
    Expired { store: String, action: &'static str },
    #[error("{store} refused to {action}: {reason}")]
    Etcd { store: String, action: &'static str, reason: String },
    #[error("the store cannot be read or written: {0}")]
    Access(#[from] Box<redb::Error>),
}
