//! Where the ranks of one gang find each other: the keys of a c10d store, kept in memory for one
//! generation of one phase.
//!
//! It must never outlive its generation: a newer one replaces the room, waiters of the older are told,
//! and nothing here is durable.

mod room;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use lethe_common::ids::{AuditId, Generation, PhaseIndex};

use room::Room;
pub use room::{MAX_KEY_BYTES, MAX_KEYS, MAX_VALUE_BYTES};

/// The longest a get may wait, whatever the caller asks for.
pub const MAX_WAIT: Duration = Duration::from_secs(600);

/// A gang's phase.
pub type GangId = (AuditId, PhaseIndex);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RendezvousError {
    #[error("generation {asked} of audit {} phase {} does not meet; {}", gang.0, gang.1, meeting(*.current))]
    Stale { gang: GangId, asked: Generation, current: Option<Generation> },
    #[error("generation {0} ended while a rank waited")]
    Ended(Generation),
    #[error("no rank set key {key:?} within {waited_ms} ms")]
    Deadline { key: String, waited_ms: u128 },
    #[error("{what} is {found}; the limit is {limit}")]
    Limit { what: &'static str, found: usize, limit: usize },
    #[error("key {0:?} holds no number, so nothing can be added to it")]
    NotANumber(String),
}

fn meeting(current: Option<Generation>) -> String {
    current.map_or("its gang is over or has not begun".to_owned(), |current| format!("generation {current} does"))
}

/// All rooms. The driver opens and closes them; the ranks' calls only find them.
#[derive(Debug, Default)]
pub struct Rendezvous {
    rooms: Mutex<BTreeMap<GangId, Room>>,
}

impl Rendezvous {
    /// Makes the room of a generation; an older one of the same gang ends. Idempotent.
    pub fn open(&self, gang: GangId, generation: Generation) {
        let mut rooms = self.rooms();
        if rooms.get(&gang).is_none_or(|room| room.generation < generation) {
            rooms.insert(gang, Room::new(generation));
        }
    }

    /// Ends every room for which `keep` says no.
    pub fn retain(&self, keep: impl Fn(&GangId) -> bool) {
        self.rooms().retain(|gang, _| keep(gang));
    }

    pub fn clear(&self) {
        self.rooms().clear();
    }

    /// Sets a key, over any earlier value.
    pub fn set(&self, gang: &GangId, generation: Generation, key: &str, value: Bytes) -> Result<(), RendezvousError> {
        current(&self.rooms(), gang, generation)?.set(key, value)
    }

    /// Adds to a key's number, which is 0 where the key is missing, and gives the sum.
    pub fn add(&self, gang: &GangId, generation: Generation, key: &str, amount: i64) -> Result<i64, RendezvousError> {
        current(&self.rooms(), gang, generation)?.add(key, amount)
    }

    /// Waits until a key exists, at most `timeout`; zero asks once.
    pub async fn get(
        &self,
        gang: &GangId,
        generation: Generation,
        key: &str,
        timeout: Duration,
    ) -> Result<Bytes, RendezvousError> {
        let mut entries = current(&self.rooms(), gang, generation)?.watch();
        let timeout = timeout.min(MAX_WAIT);
        match tokio::time::timeout(timeout, entries.wait_for(|entries| entries.contains_key(key))).await {
            Ok(Ok(found)) => Ok(found[key].clone()),
            Ok(Err(_closed)) => Err(RendezvousError::Ended(generation)),
            Err(_elapsed) => Err(RendezvousError::Deadline { key: key.to_owned(), waited_ms: timeout.as_millis() }),
        }
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<GangId, Room>> {
        self.rooms.lock().expect("no code panics while it holds the rooms")
    }
}

fn current<'a>(
    rooms: &'a BTreeMap<GangId, Room>,
    gang: &GangId,
    asked: Generation,
) -> Result<&'a Room, RendezvousError> {
    let room = rooms.get(gang);
    room.filter(|room| room.generation == asked).ok_or_else(|| RendezvousError::Stale {
        gang: gang.clone(),
        asked,
        current: room.map(|room| room.generation),
    })
}

#[cfg(test)]
mod tests;
