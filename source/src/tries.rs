//! How often a request is made again, and after what pause.
//!
//! It must never give up while bytes come: whoever makes progress begins to count anew.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use lethe_common::backoff::Backoff;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Without progress; with the pauses they take a quarter of a minute on average, and twice that at most.
const MAX_TRIES: u32 = 8;
/// Full jitter: workers that were throttled together do not come back together.
const PAUSES: Backoff = Backoff { first_ms: 100, cap_ms: 10_000 };

pub(crate) struct Tries {
    failed: u32,
    draw: ChaCha8Rng,
}

impl Tries {
    pub fn new() -> Self {
        // Jitter only: what is read does not depend on it.
        Self { failed: 0, draw: ChaCha8Rng::seed_from_u64(RandomState::new().build_hasher().finish()) }
    }

    pub fn progress(&mut self) {
        self.failed = 0;
    }

    /// The pause before the next try; none where it is time to give up.
    pub fn next(&mut self) -> Option<Duration> {
        self.failed += 1;
        (self.failed < MAX_TRIES).then(|| PAUSES.pause(self.failed - 1, self.draw.random::<f64>()))
    }
}
