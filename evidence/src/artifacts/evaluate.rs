//! Sums over one shard by which two checkpoints are compared.

use serde::{Deserialize, Serialize};

/// Counts and sums, so that shards add up in any order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evaluation {
    /// Held-out safe pairs.
    pub safe_pairs: u64,
    /// Of them, those whose own caption is in the tenth of the shard's gathered captions that their image prefers, by the
    /// suspect model.
    pub retrieval_hits_before: u64,
    pub retrieval_hits_after: u64,
    /// Sum over held-out safe pairs of one minus the cosine between image embeddings before and after.
    pub drift_sum: f64,
    /// The held-out members of each cluster, in the order of the forget set's; those that no shortcut leads have none.
    pub clusters: Vec<Residual>,
}

/// What still follows one cluster's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Residual {
    /// Held-out members of the forget set.
    pub held_out: u64,
    /// Of them, those whose image prefers a caption with a word of the cluster to all others, by the suspect model.
    pub attracted_before: u64,
    pub attracted_after: u64,
}

impl Residual {
    /// Of `held_out`; 0 where there is none.
    pub fn share_after(self) -> f64 {
        self.attracted_after as f64 / self.held_out.max(1) as f64
    }

    fn plus(self, other: Self) -> Self {
        Self {
            held_out: self.held_out + other.held_out,
            attracted_before: self.attracted_before + other.attracted_before,
            attracted_after: self.attracted_after + other.attracted_after,
        }
    }
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
            clusters: plus(self.clusters, &other.clusters),
        }
    }

    /// All clusters together.
    pub fn residual(&self) -> Residual {
        self.clusters.iter().fold(Residual::default(), |sum, one| sum.plus(*one))
    }
}

fn plus(mut one: Vec<Residual>, other: &[Residual]) -> Vec<Residual> {
    one.resize(one.len().max(other.len()), Residual::default());
    one.iter_mut().zip(other).for_each(|(one, other)| *one = one.plus(*other));
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_add_up_by_place() {
        let residual = |held_out, attracted_after| Residual { held_out, attracted_before: 1, attracted_after };
        let shard = |clusters: &[Residual]| Evaluation { clusters: clusters.to_vec(), ..Evaluation::default() };
        let sum = shard(&[]).plus(shard(&[residual(4, 1)])).plus(shard(&[residual(4, 1), residual(2, 2)]));
        assert_eq!(sum.clusters[0], Residual { held_out: 8, attracted_before: 2, attracted_after: 2 });
        assert_eq!(sum.clusters.iter().map(|one| one.share_after()).collect::<Vec<_>>(), [0.25, 1.0]);
        assert_eq!((sum.residual().held_out, sum.residual().attracted_after), (10, 4));
        assert_eq!(Residual::default().share_after(), 0.0);
    }
}
