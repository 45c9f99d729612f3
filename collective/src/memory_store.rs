//! A rendezvous store for ranks that are threads of one process.
//!
//! It must never be shared by two generations: a stale address would be found.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{RendezvousError, RendezvousStore};

#[derive(Debug, Default)]
pub struct MemoryStore {
    keys: Mutex<BTreeMap<String, Vec<u8>>>,
    changed: Condvar,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic of another holder leaves the map whole, since every change is one insertion.
    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RendezvousStore for MemoryStore {
    fn set(&self, key: &str, value: &[u8]) -> Result<(), RendezvousError> {
        self.keys().insert(key.to_owned(), value.to_vec());
        self.changed.notify_all();
        Ok(())
    }

    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, RendezvousError> {
        let missing = |keys: &mut BTreeMap<String, Vec<u8>>| !keys.contains_key(key);
        let waited = self.changed.wait_timeout_while(self.keys(), timeout, missing);
        let (keys, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let waited_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        keys.get(key).cloned().ok_or_else(|| RendezvousError::TimedOut { key: key.to_owned(), waited_ms })
    }

    fn add(&self, key: &str, amount: i64) -> Result<i64, RendezvousError> {
        let mut keys = self.keys();
        let text = keys.get(key).map_or("0".into(), |bytes| String::from_utf8_lossy(bytes));
        let value = text
            .parse::<i64>()
            .map_err(|_| RendezvousError::Unavailable(format!("key {key:?} holds {text:?}, not a number to add to")))?;
        let sum = value.saturating_add(amount);
        keys.insert(key.to_owned(), sum.to_string().into_bytes());
        self.changed.notify_all();
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_starts_at_zero_and_reads_as_text() {
        let store = MemoryStore::new();
        assert_eq!(store.add("n", 2), Ok(2));
        assert_eq!(store.add("n", 3), Ok(5));
        assert_eq!(store.get("n", Duration::ZERO), Ok(b"5".to_vec()));
    }

    #[test]
    fn a_missing_key_times_out_and_is_named() {
        let missing = MemoryStore::new().get("rank1", Duration::from_millis(1));
        assert_eq!(missing, Err(RendezvousError::TimedOut { key: "rank1".into(), waited_ms: 1 }));
    }

    #[test]
    fn a_get_wakes_when_the_key_is_set() {
        let store = MemoryStore::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| store.get("k", Duration::from_secs(30)));
            store.set("k", b"v").expect("sets");
            assert_eq!(waiting.join().expect("does not panic"), Ok(b"v".to_vec()));
        });
    }
}
