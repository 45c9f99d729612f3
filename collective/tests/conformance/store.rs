//! The store behind a group: its failures reach the caller, and nothing of it stays behind.

use std::sync::Arc;
use std::time::Duration;

use lethe_collective::{MemoryStore, RendezvousError, RendezvousStore};

use crate::wiring::{BRIEF, Gloo, PATIENT, Place, Wiring};

/// A store that fails, and one that panics: both must come back as errors through C++.
struct Broken {
    panics: bool,
}

impl RendezvousStore for Broken {
    fn set(&self, key: &str, _: &[u8]) -> Result<(), RendezvousError> {
        assert!(!self.panics, "the test's store panics at {key}");
        Err(RendezvousError::Unavailable("the task was aborted".to_owned()))
    }

    fn get(&self, key: &str, _: Duration) -> Result<Vec<u8>, RendezvousError> {
        self.set(key, &[]).map(|()| Vec::new())
    }

    fn add(&self, key: &str, _: i64) -> Result<i64, RendezvousError> {
        self.set(key, &[]).map(|()| 0)
    }
}

#[test]
fn a_stores_error_and_its_panic_reach_the_caller() {
    for (panics, expected) in [(false, "the task was aborted"), (true, "panicked")] {
        let place = Place { rank: 0, world_size: 2, timeout: BRIEF };
        let error = Gloo::connect(Arc::new(Broken { panics }), place).expect_err("the store is broken");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_store_is_released_with_the_group() {
    let store = Arc::new(MemoryStore::new());
    let place = Place { rank: 0, world_size: 1, timeout: PATIENT };
    drop(Gloo::connect(store.clone(), place).expect("a world of one forms"));
    assert_eq!(Arc::strong_count(&store), 1);
}
