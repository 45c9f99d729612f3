//! The keys of one generation, and the ranks that wait for them.
//!
//! It must never grow without bound: keys, values and their number are limited.

use std::collections::BTreeMap;

use bytes::Bytes;
use lethe_common::ids::Generation;
use tokio::sync::watch;

use super::RendezvousError;

pub const MAX_KEY_BYTES: usize = 1 << 10;
pub const MAX_VALUE_BYTES: usize = 1 << 20;
pub const MAX_KEYS: usize = 1 << 16;

type Entries = BTreeMap<String, Bytes>;

/// Dropping it tells every waiter that its generation is over.
#[derive(Debug)]
pub(super) struct Room {
    pub generation: Generation,
    entries: watch::Sender<Entries>,
}

impl Room {
    pub fn new(generation: Generation) -> Self {
        Self { generation, entries: watch::Sender::new(Entries::new()) }
    }

    pub fn watch(&self) -> watch::Receiver<Entries> {
        self.entries.subscribe()
    }

    pub fn set(&self, key: &str, value: Bytes) -> Result<(), RendezvousError> {
        within("a rendezvous key's length in bytes", key.len(), MAX_KEY_BYTES)?;
        within("a rendezvous value's length in bytes", value.len(), MAX_VALUE_BYTES)?;
        let is_new = !self.entries.borrow().contains_key(key);
        within("the number of rendezvous keys", self.entries.borrow().len() + usize::from(is_new), MAX_KEYS)?;
        self.entries.send_modify(|entries| {
            entries.insert(key.to_owned(), value);
        });
        Ok(())
    }

    /// The sum is kept as decimal text, as c10d's own stores keep it, so that a get can read it.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, RendezvousError> {
        let before = match self.entries.borrow().get(key) {
            None => 0,
            Some(value) => number(value).ok_or_else(|| RendezvousError::NotANumber(key.to_owned()))?,
        };
        let sum = before.wrapping_add(amount);
        self.set(key, Bytes::from(sum.to_string()))?;
        Ok(sum)
    }
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), RendezvousError> {
    if found <= limit { Ok(()) } else { Err(RendezvousError::Limit { what, found, limit }) }
}
