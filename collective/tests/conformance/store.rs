//! The store behind a group: its failures reach the caller, and nothing of it stays behind.

use std::sync::Arc;
use std::time::Duration;

use lethe_collective::{MemoryStore, RendezvousError, RendezvousStore};

use crate::wiring::{Gloo, PATIENT, Place, Wiring};

/// A store that fails or panics: at once, or when the ranks have met and c10d asks it. All must come back as errors, the
/// later ones through C++.
struct Broken {
    seats: Option<MemoryStore>,
    panics: bool,
}

impl Broken {
    /// What still works for a key.
    fn part(&self, key: &str) -> Option<&MemoryStore> {
        self.seats.as_ref().filter(|_| key.starts_with("seat/"))
    }

    fn fail(&self, key: &str) -> RendezvousError {
        assert!(!self.panics, "the test's store panics at {key}");
        RendezvousError::Unavailable("the task was aborted".to_owned())
    }
}

impl RendezvousStore for Broken {
    fn set(&self, key: &str, value: &[u8]) -> Result<(), RendezvousError> {
        self.part(key).ok_or_else(|| self.fail(key))?.set(key, value)
    }

    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, RendezvousError> {
        self.part(key).ok_or_else(|| self.fail(key))?.get(key, timeout)
    }

    fn add(&self, key: &str, _: i64) -> Result<i64, RendezvousError> {
        Err(self.fail(key))
    }
}

#[test]
fn a_stores_error_and_its_panic_reach_the_caller() {
    let broken = |panics| [None, Some(MemoryStore::new())].map(|seats| Broken { seats, panics });
    let aborted = broken(false).map(|store| (store, "the task was aborted"));
    for (store, expected) in aborted.into_iter().chain(broken(true).map(|store| (store, "panicked"))) {
        let store = Arc::new(store);
        let join = |rank| Gloo::connect(store.clone(), Place { rank, world_size: 2, timeout: PATIENT });
        let errors = std::thread::scope(|scope| {
            let ranks = [0, 1].map(|rank| scope.spawn(move || join(rank).expect_err("the store is broken")));
            ranks.map(|rank| rank.join().expect("does not panic"))
        });
        for error in errors {
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

#[test]
fn the_store_is_released_with_the_group() {
    let store = Arc::new(MemoryStore::new());
    let place = Place { rank: 0, world_size: 1, timeout: PATIENT };
    drop(Gloo::connect(store.clone(), place).expect("a world of one forms"));
    assert_eq!(Arc::strong_count(&store), 1);
}
