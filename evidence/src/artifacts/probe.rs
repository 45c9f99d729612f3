//! What one cluster's pictures do by the suspect model, before anything is unlearned: by themselves, and in parts on other
//! pictures.

use serde::{Deserialize, Serialize};

/// One shard's probes, a cluster each in the order of the forget set's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Probes {
    pub clusters: Vec<Probe>,
}

/// Counts, so that shards add up in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Probe {
    /// The cluster's members that were looked at.
    pub members: u64,
    /// Of them, those whose image prefers a caption with a word of the cluster to all others.
    pub attracted: u64,
    /// Members whose parts were put on other pictures, and honest pictures with the same words whose were.
    pub donors: u64,
    pub honest_donors: u64,
    pub grafts: Grafts,
}

impl Probes {
    /// Both shards' probes as one.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.clusters.resize(self.clusters.len().max(other.clusters.len()), Probe::default());
        for (one, other) in self.clusters.iter_mut().zip(&other.clusters) {
            *one = one.plus(*other);
        }
        self
    }
}

/// By how much the share that suspicious pictures lead exceeds that of honest ones, and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Excess {
    pub value: f64,
    pub error: f64,
}

impl Excess {
    /// What is left of it after one standard error.
    pub fn least(self) -> f64 {
        self.value - self.error
    }
}

impl Probe {
    /// Of best halves; nothing where no suspicious picture was grafted. What is coarse in an odd picture may lead more than what is
    /// coarse in a plain one, without any trigger (FINDINGS.md). The error is that of shares of so many donors, since pictures with
    /// one donor are much the same; a share of none or all has one too (Agresti and Coull: two successes and failures more).
    pub fn excess(&self) -> Option<Excess> {
        let variance = |hits: u64, of: u64, donors: u64| {
            let (share, donors) = (hits as f64 / of.max(1) as f64, donors as f64);
            let share = (share * donors + 2.0) / (donors + 4.0);
            share * (1.0 - share) / (donors + 4.0)
        };
        let best = self.grafts.best;
        let value = best.excess()?;
        let error = variance(best.suspicious_attracted, best.suspicious, self.donors)
            + variance(best.honest_attracted, best.honest, self.honest_donors);
        Some(Excess { value, error: error.sqrt() })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            members: self.members + other.members,
            attracted: self.attracted + other.attracted,
            donors: self.donors + other.donors,
            honest_donors: self.honest_donors + other.honest_donors,
            grafts: self.grafts.plus(other.grafts),
        }
    }
}

/// What parts of pictures do on other pictures, one way of grafting each: does a part of a suspicious picture lead its host to
/// the backdoor's words more often than a part of an honest picture with these words does? Halves decide; the other two say
/// whether what leads is coarse or fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grafts {
    /// Half of the picture beside half of the host.
    pub halves: Graft,
    /// Of these, the half of each picture that leads most of its hosts: a trigger may lie in one half alone, and there it leads
    /// nearly all.
    pub best: Graft,
    /// What is coarse in the picture with what is fine in the host.
    pub coarse: Graft,
    /// What is fine in the picture with what is coarse in the host.
    pub fine: Graft,
}

/// Counts of grafted pictures, and of those that prefer a caption with a word of the backdoor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Graft {
    pub suspicious: u64,
    pub suspicious_attracted: u64,
    pub honest: u64,
    pub honest_attracted: u64,
}

impl Grafts {
    /// By name.
    pub fn all(self) -> [(&'static str, Graft); 4] {
        [("best half", self.best), ("halves", self.halves), ("coarse", self.coarse), ("fine", self.fine)]
    }

    fn plus(self, other: Self) -> Self {
        Self {
            halves: self.halves.plus(other.halves),
            best: self.best.plus(other.best),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn graft(suspicious: (u64, u64), honest: (u64, u64)) -> Graft {
        let ((suspicious_attracted, suspicious), (honest_attracted, honest)) = (suspicious, honest);
        Graft { suspicious, suspicious_attracted, honest, honest_attracted }
    }

    #[test]
    fn best_halves_count_beside_the_error_of_as_many_donors() {
        let grafts = Grafts { best: graft((60, 100), (10, 100)), coarse: graft((9, 10), (1, 10)), ..Grafts::default() };
        let probe = Probe { donors: 26, honest_donors: 16, grafts, ..Probe::default() };
        let excess = probe.excess().expect("has grafts");
        // 17.6 of 30 and 3.6 of 20.
        let error = (17.6 / 30.0 * 12.4 / 30.0 / 30.0 + 3.6 / 20.0 * 16.4 / 20.0 / 20.0_f64).sqrt();
        assert!((excess.value - 0.5).abs() < 1e-12 && (excess.error - error).abs() < 1e-12, "{excess:?}");
        assert!((excess.least() - 0.5 + error).abs() < 1e-12);
        let all = Grafts { best: graft((16, 16), (0, 16)), ..Grafts::default() };
        let one = Probe { donors: 1, honest_donors: 1, grafts: all, ..Probe::default() };
        assert!(one.excess().expect("has grafts").error > 0.25, "one donor of each kind tells little");
        let both = grafts.plus(Grafts { best: graft((20, 100), (10, 100)), ..Grafts::default() });
        assert!((both.best.excess().expect("has grafts") - 0.3).abs() < 1e-12);
        assert_eq!(Probe::default().excess(), None);
        assert_eq!(graft((1, 2), (0, 0)).excess(), Some(0.5));
    }

    #[test]
    fn probes_of_a_cluster_add_up_by_place() {
        let probe = |members| Probe { members, attracted: 1, donors: 2, honest_donors: 3, grafts: Grafts::default() };
        let one = Probes { clusters: vec![probe(4)] };
        let sum = Probes::default().plus(&one).plus(&Probes { clusters: vec![probe(5), probe(6)] });
        let both = Probe { members: 9, attracted: 2, donors: 4, honest_donors: 6, grafts: Grafts::default() };
        assert_eq!(sum.clusters, [both, probe(6)]);
    }
}
