//! How the ranks of one generation find each other: a small key-value store with a blocking get.
//!
//! One store serves one generation of one gang. It must never carry tensors.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RendezvousError {
    #[error("key {key:?} did not appear within {waited_ms} ms; a peer is missing")]
    TimedOut { key: String, waited_ms: u64 },
    /// The store cannot be reached, or the caller's task was aborted.
    #[error("rendezvous store: {0}")]
    Unavailable(String),
}

/// c10d's store, as far as Gloo uses it. Calls come from several of libtorch's threads.
pub trait RendezvousStore: Send + Sync {
    /// Sets a key, replacing what it held.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), RendezvousError>;

    /// The value of a key, waiting for it at most `timeout`; a zero time-out only looks.
    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, RendezvousError>;

    /// Adds to a counter that starts at zero, and gives its new value. The key then holds that
    /// value in decimal, as c10d's own stores do.
    fn add(&self, key: &str, amount: i64) -> Result<i64, RendezvousError>;
}
