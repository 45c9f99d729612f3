//! Sums over one shard by which two checkpoints are compared.

use serde::{Deserialize, Serialize};

use super::Excess;

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
    /// Held-out safe pairs of the same shards whose own captions have no word of the cluster.
    #[serde(default)]
    pub honest: u64,
    /// Of them, those that prefer such a caption all the same: a word of a template draws many.
    #[serde(default)]
    pub honest_attracted_before: u64,
    #[serde(default)]
    pub honest_attracted_after: u64,
}

/// Where more honest images than this follow the words, what the others do says too little.
const MOST_HONEST: f64 = 0.5;

impl Residual {
    /// The share that follows the words for another reason than honest images do, and its standard error: (p - c) / (1 - c) for a share
    /// p of held-out members and c of honest images (Abbott 1925, for what dies without the poison too), by the model that leads fewer of
    /// these: what unlearning does to all images excuses nothing. Nothing where no image of either kind was looked at, or more than half of
    /// the honest ones follow.
    pub fn beyond_honest(self) -> Option<Excess> {
        let (of, honest) = (self.held_out as f64, self.honest as f64);
        let (share, natural) = (self.attracted_after as f64 / of, self.honest_attracted() as f64 / honest);
        if of == 0.0 || honest == 0.0 || natural > MOST_HONEST {
            return None;
        }
        let value = (share - natural) / (1.0 - natural);
        // To first order: dp / (1 - c) and -(1 - p) dc / (1 - c)^2.
        let own = share * (1.0 - share) / of;
        let control = natural * (1.0 - natural) / honest * ((1.0 - share) / (1.0 - natural)).powi(2);
        Some(Excess { value, error: (own + control).sqrt() / (1.0 - natural) })
    }

    /// By the model that leads fewer.
    pub fn honest_attracted(self) -> u64 {
        self.honest_attracted_before.min(self.honest_attracted_after)
    }

    /// Of `held_out`; 0 where there is none.
    pub fn share_after(self) -> f64 {
        self.attracted_after as f64 / self.held_out.max(1) as f64
    }

    fn plus(self, other: Self) -> Self {
        Self {
            held_out: self.held_out + other.held_out,
            attracted_before: self.attracted_before + other.attracted_before,
            attracted_after: self.attracted_after + other.attracted_after,
            honest: self.honest + other.honest,
            honest_attracted_before: self.honest_attracted_before + other.honest_attracted_before,
            honest_attracted_after: self.honest_attracted_after + other.honest_attracted_after,
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
        let residual = |held_out, attracted_after| Residual {
            held_out,
            attracted_before: 1,
            attracted_after,
            honest: 10,
            honest_attracted_before: 3,
            honest_attracted_after: 2,
        };
        let shard = |clusters: &[Residual]| Evaluation { clusters: clusters.to_vec(), ..Evaluation::default() };
        let sum = shard(&[]).plus(shard(&[residual(4, 1)])).plus(shard(&[residual(4, 1), residual(2, 2)]));
        assert_eq!(
            sum.clusters[0],
            Residual {
                held_out: 8,
                attracted_before: 2,
                attracted_after: 2,
                honest: 20,
                honest_attracted_before: 6,
                honest_attracted_after: 4
            }
        );
        assert_eq!(sum.clusters.iter().map(|one| one.share_after()).collect::<Vec<_>>(), [0.25, 1.0]);
        assert_eq!((sum.residual().held_out, sum.residual().attracted_after), (10, 4));
        assert_eq!(Residual::default().share_after(), 0.0);
    }

    #[test]
    fn what_honest_images_do_too_is_taken_off() {
        let residual = |attracted_after, honest_attracted_after| Residual {
            held_out: 100,
            attracted_before: 100,
            attracted_after,
            honest: 400,
            honest_attracted_before: 200,
            honest_attracted_after,
        };
        let found = |attracted_after, honest_attracted| {
            let Excess { value, error } = residual(attracted_after, honest_attracted).beyond_honest()?;
            Some([value, error].map(|share| (share * 1e4).round() / 1e4))
        };
        assert_eq!(found(30, 0), Some([0.3, 0.0458]));
        assert_eq!(found(30, 120), Some([0.0, 0.0732]));
        assert_eq!(found(65, 120), Some([0.5, 0.0701]));
        assert_eq!(found(100, 120), Some([1.0, 0.0]));
        assert_eq!(found(60, 200), Some([0.2, 0.1058]));
        assert_eq!(found(60, 380), found(60, 200), "what unlearning did to honest images excuses nothing");
        let more = Residual { honest_attracted_before: 201, ..residual(60, 201) };
        assert_eq!(more.beyond_honest(), None, "where most honest ones do, nothing is known");
        assert_eq!(Residual { honest: 0, ..residual(0, 0) }.beyond_honest(), None);
        assert_eq!(Residual { held_out: 0, ..residual(0, 0) }.beyond_honest(), None);
    }
}
