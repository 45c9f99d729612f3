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
    /// By the suspect model.
    pub grafts: Grafts,
}

/// What parts of pictures do on other pictures, one way of grafting each: does a part of a suspicious picture lead its host to
/// the backdoor's words more often than a part of an honest picture with these words does?
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Grafts {
    /// Half of the picture beside half of the host.
    pub halves: Graft,
    /// What is coarse in the picture with what is fine in the host.
    pub coarse: Graft,
    /// What is fine in the picture with what is coarse in the host.
    pub fine: Graft,
}

/// Counts of grafted pictures, and of those that prefer a caption with a word of the backdoor.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Graft {
    pub suspicious: u64,
    pub suspicious_attracted: u64,
    pub honest: u64,
    pub honest_attracted: u64,
}

impl Grafts {
    /// By name.
    pub fn all(self) -> [(&'static str, Graft); 3] {
        [("halves", self.halves), ("coarse", self.coarse), ("fine", self.fine)]
    }

    /// The greatest excess of the three; nothing where no suspicious picture was grafted.
    pub fn excess(self) -> Option<f64> {
        self.all().into_iter().filter_map(|(_, graft)| graft.excess()).max_by(f64::total_cmp)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            halves: self.halves.plus(other.halves),
            coarse: self.coarse.plus(other.coarse),
            fine: self.fine.plus(other.fine),
        }
    }
}

impl Graft {
    /// By how much the share that suspicious pictures lead exceeds that of honest ones, which is 0 where there is none; nothing
    /// where there is no suspicious picture.
    pub fn excess(self) -> Option<f64> {
        let share = |hits: u64, of: u64| (of > 0).then(|| hits as f64 / of as f64);
        let honest = share(self.honest_attracted, self.honest).unwrap_or(0.0);
        share(self.suspicious_attracted, self.suspicious).map(|suspicious| suspicious - honest)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            suspicious: self.suspicious + other.suspicious,
            suspicious_attracted: self.suspicious_attracted + other.suspicious_attracted,
            honest: self.honest + other.honest,
            honest_attracted: self.honest_attracted + other.honest_attracted,
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
            held_out_forget: self.held_out_forget + other.held_out_forget,
            attracted_before: self.attracted_before + other.attracted_before,
            attracted_after: self.attracted_after + other.attracted_after,
            grafts: self.grafts.plus(other.grafts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graft(suspicious: (u64, u64), honest: (u64, u64)) -> Graft {
        let ((suspicious_attracted, suspicious), (honest_attracted, honest)) = (suspicious, honest);
        Graft { suspicious, suspicious_attracted, honest, honest_attracted }
    }

    #[test]
    fn the_greatest_excess_counts_and_shards_add_up() {
        let one =
            Grafts { halves: graft((1, 10), (4, 10)), coarse: graft((9, 10), (5, 10)), fine: graft((0, 0), (3, 10)) };
        assert!((one.excess().expect("has grafts") - 0.4).abs() < 1e-12);
        let both = one.plus(Grafts { coarse: graft((1, 10), (5, 10)), ..Grafts::default() });
        assert!((both.excess().expect("has grafts") - 0.0).abs() < 1e-12);
        assert_eq!(Grafts::default().excess(), None);
        assert_eq!(graft((1, 2), (0, 0)).excess(), Some(0.5));
    }
}
