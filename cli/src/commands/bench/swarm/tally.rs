//! What the simulated workers saw, counted once for all of them.
//!
//! It must never drop a slow answer: what is still waited for at the end counts with its wait so far.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use lethe_common::time::Millis;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default)]
pub struct Tally {
    pub joined: AtomicU64,
    pub leases: AtomicU64,
    pub lease_messages: AtomicU64,
    pub commits: AtomicU64,
    pub commit_requests: AtomicU64,
    /// Commits that the coordinator dropped or refused.
    pub stale: AtomicU64,
    pub refused: AtomicU64,
    /// Calls and sessions that broke.
    pub errors: AtomicU64,
    /// The first of them.
    pub first_error: Mutex<Option<String>>,
    pub lease_waits: Mutex<Vec<u32>>,
    pub commit_waits: Mutex<Vec<u32>>,
    /// When the first lease of each term came.
    pub terms: Mutex<BTreeMap<u64, u64>>,
}

/// What the swarm's process prints, and the benchmark reads.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Found {
    pub workers: u32,
    pub connections: u32,
    pub slots: u32,
    /// Of the window as it was.
    pub seconds: f64,
    pub leases: u64,
    pub lease_messages: u64,
    pub commits: u64,
    pub commit_requests: u64,
    pub stale: u64,
    pub refused: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub lease_wait: Waits,
    pub commit_wait: Waits,
    pub swarm_cpu_seconds: f64,
    pub coordinator_cpu_seconds: f64,
    /// Of each term, when its first lease came, in milliseconds since the epoch.
    pub first_lease_ms: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    pub samples: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Tally {
    pub fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub fn error(&self, what: &str) {
        Self::add(&self.errors, 1);
        self.first_error.lock().expect("nothing panics while it holds this").get_or_insert_with(|| what.to_owned());
    }

    pub fn granted(&self, term: u64) {
        let mut terms = self.terms.lock().expect("nothing panics while it holds this");
        terms.entry(term).or_insert_with(|| Millis::now().0);
    }

    pub fn waited(waits: &Mutex<Vec<u32>>, micros: impl IntoIterator<Item = u32>) {
        waits.lock().expect("nothing panics while it holds this").extend(micros);
    }
}

impl Waits {
    /// Nearest rank, so that every figure was measured.
    pub fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |share: f64| {
            let rank = (share * micros.len() as f64).ceil().max(1.0) as usize;
            micros.get(rank - 1).map_or(0.0, |&micros| f64::from(micros) / 1_000.0)
        };
        Self { samples: micros.len() as u64, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let waits = Waits::of((1..=1_000).rev().map(|n| n * 1_000).collect());
        assert_eq!(waits, Waits { samples: 1_000, p50_ms: 500.0, p99_ms: 990.0, max_ms: 1_000.0 });
        assert_eq!(Waits::of(vec![7_000]).p99_ms, 7.0);
        assert_eq!(Waits::of(Vec::new()), Waits::default());
    }
}
