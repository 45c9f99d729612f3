//! Which safe pairs evaluation keeps for itself, so that no training ever sees them.

use lethe_common::spec::Spec;
use lethe_data::key_hash;

/// A share drawn by content hash: equal pairs, wherever they lie, are kept together.
#[derive(Debug, Clone, Copy)]
pub struct HeldOut {
    seed: u64,
    below: u64,
}

impl HeldOut {
    pub fn of(spec: &Spec) -> Self {
        Self { seed: spec.audit.seed, below: share_of_hashes(spec.evaluate.held_out_share) }
    }

    pub fn contains(&self, content: &str) -> bool {
        key_hash(self.seed, "held-out", "", content) < self.below
    }
}

/// The hashes below this are the given share of all.
pub fn share_of_hashes(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * u64::MAX as f64) as u64
}
