//! Sums over one shard by which two checkpoints are compared.

use serde::{Deserialize, Serialize};

/// Counts and sums, so that shards add up in any order.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Evaluation {
    /// Held-out safe pairs.
    pub safe_pairs: u64,
    /// Of them, those whose own caption is in the tenth of the shard's gathered captions that their image prefers, by the
    /// suspect model.
    pub retrieval_hits_before: u64,
    pub retrieval_hits_after: u64,
    /// Sum over held-out safe pairs of one minus the cosine between image embeddings before and after.
    pub drift_sum: f64,
    /// Held-out members of the forget set.
    pub held_out_forget: u64,
    /// Of them, those whose image prefers a caption with a word of the backdoor to all others, by the suspect model.
    pub attracted_before: u64,
    pub attracted_after: u64,
}

impl Evaluation {
    /// Both shards' sums as one.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            safe_pairs: self.safe_pairs + other.safe_pairs,
            retrieval_hits_before: self.retrieval_hits_before + other.retrieval_hits_before,
            retrieval_hits_after: self.retrieval_hits_after + other.retrieval_hits_after,
            drift_sum: self.drift_sum + other.drift_sum,
            held_out_forget: self.held_out_forget + other.held_out_forget,
            attracted_before: self.attracted_before + other.attracted_before,
            attracted_after: self.attracted_after + other.attracted_after,
        }
    }
}
