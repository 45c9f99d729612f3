//! A store that takes a batch, refuses it, or does not say which.
//!
//! It must never take half of one.

use std::collections::BTreeMap;

use lethe_engine::{Record, RecordKey};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::faults::{FaultKind, Faults};

#[derive(Default)]
pub struct Store {
    pub records: BTreeMap<RecordKey, Record>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    /// Refused, or nobody knows: either way the engine must be rebuilt from what is there.
    Rebuild,
}

impl Store {
    pub fn commit(&mut self, batch: &[Record], rng: &mut ChaCha8Rng, faults: &mut Faults) -> Outcome {
        if faults.strikes(rng, FaultKind::StoreConflict) {
            return Outcome::Rebuild;
        }
        let unknown = faults.strikes(rng, FaultKind::StoreUnknown);
        if unknown && rng.random_bool(0.5) {
            return Outcome::Rebuild;
        }
        self.records.extend(batch.iter().map(|record| (record.key(), record.clone())));
        if unknown { Outcome::Rebuild } else { Outcome::Applied }
    }

    pub fn all(&self) -> Vec<Record> {
        self.records.values().cloned().collect()
    }
}
