//! A store that takes a batch, refuses it, or does not say which.
//!
//! It must never take half of one.

use std::collections::BTreeMap;

use lethe_engine::{Change, Record, RecordKey};
use rand_chacha::ChaCha8Rng;

use crate::faults::{FaultKind, Faults};

#[derive(Default)]
pub struct Store {
    pub records: BTreeMap<RecordKey, Record>,
    /// What was forgotten, as it was.
    pub archive: BTreeMap<RecordKey, Record>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    /// Refused, or nobody knows: either way the engine must be rebuilt from what is there.
    Rebuild,
}

impl Store {
    pub fn commit(&mut self, batch: &[Change], rng: &mut ChaCha8Rng, faults: &mut Faults) -> Outcome {
        if faults.strikes(rng, FaultKind::StoreConflict) || faults.strikes(rng, FaultKind::StoreUnknownLost) {
            return Outcome::Rebuild;
        }
        batch.iter().for_each(|change| self.apply(change));
        if faults.strikes(rng, FaultKind::StoreUnknownTaken) { Outcome::Rebuild } else { Outcome::Applied }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Put(record) => drop(self.records.insert(record.key(), record.clone())),
            Change::Forget(audit) => self.archive.extend(self.records.extract_if(.., |key, _| key.audit() == audit)),
        }
    }

    pub fn all(&self) -> Vec<Record> {
        self.records.values().cloned().collect()
    }

    /// What is stored and what once was.
    pub fn ever(&self) -> BTreeMap<RecordKey, Record> {
        self.archive.iter().chain(&self.records).map(|(key, record)| (key.clone(), record.clone())).collect()
    }
}
