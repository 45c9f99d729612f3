//! What one cluster's pictures do by the suspect model, before anything is unlearned: by themselves, and in parts on other
//! pictures.

use serde::{Deserialize, Serialize};

use super::Likeness;

/// Hosts that parts of each picture are put on.
pub const HOSTS_EACH: usize = 8;

/// One shard's probes, a cluster each in the order of the forget set's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Probes {
    pub clusters: Vec<Probe>,
    /// How each picture of a cluster leads. Nothing in results of earlier versions.
    #[serde(default)]
    pub donors: Vec<DonorHits>,
}

/// One cluster's pictures whose parts were put on others, each by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DonorHits {
    pub members: Vec<Donor>,
    /// Suspects with the cluster's words that are no members. None in results of earlier versions.
    #[serde(default)]
    pub candidates: Vec<Donor>,
    /// Honest pictures with the same words.
    pub honest: Vec<Hits>,
}

/// A member of a cluster, or a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Donor {
    pub shard: u32,
    pub key: String,
    pub hits: Hits,
}

/// Of its [`HOSTS_EACH`] hosts (the same again, where a shard has fewer), how many a picture leads: by whichever half leads most, by whichever quarter does, by what is
/// coarse in it and by what is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hits {
    pub half: u8,
    pub quarter: u8,
    pub coarse: u8,
    pub fine: u8,
}

impl Hits {
    /// In the order of the fields.
    pub fn all(self) -> [usize; 4] {
        [self.half, self.quarter, self.coarse, self.fine].map(usize::from)
    }
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
    /// Nothing in results of earlier versions.
    #[serde(default)]
    pub likeness: Likeness,
}

impl Probes {
    /// Both shards' probes as one.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.clusters.resize(self.clusters.len().max(other.clusters.len()), Probe::default());
        for (one, other) in self.clusters.iter_mut().zip(&other.clusters) {
            *one = one.plus(*other);
        }
        self.donors.resize(self.donors.len().max(other.donors.len()), DonorHits::default());
        for (one, other) in self.donors.iter_mut().zip(&other.donors) {
            one.members.extend_from_slice(&other.members);
            one.candidates.extend_from_slice(&other.candidates);
            one.honest.extend_from_slice(&other.honest);
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

    /// What it is with one standard error more.
    pub fn most(self) -> f64 {
        self.value + self.error
    }
}

/// What one way of grafting showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lead {
    pub way: Way,
    /// Of the pictures that parts of suspicious ones were put on, those that they lead.
    pub share: f64,
    pub excess: Excess,
    /// The least excess, after one standard error, that would be a shortcut's.
    pub asked: f64,
}

impl Lead {
    /// What the excess has above what is asked, after one standard error.
    pub fn margin(self) -> f64 {
        self.excess.least() - self.asked
    }
}

/// What is asked of a lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeadLimits {
    /// By which a trigger's lead exceeds an honest one, less one standard error.
    pub excess: f64,
    /// Where it leads at least this share.
    pub share: f64,
}

/// A way that leads fewer must exceed by this part more of what it lacks.
const MORE_OF_FEWER: f64 = 0.5;

impl LeadLimits {
    /// What is coarse in pictures that show what their words say leads to them without a trigger, and in odd ones oftener than in plain
    /// ones. A trigger would lead nearly all (FINDINGS.md).
    fn of(self, way: Way, likeness: Likeness) -> Self {
        match way {
            Way::Coarse if likeness.shows_words() => Self { share: 1.0, ..self },
            _ => self,
        }
    }

    /// The least excess of a way that leads so great a share: what is coarse in an odd picture may lead somewhat oftener than what is
    /// coarse in a plain one, without any trigger, but leads few (FINDINGS.md).
    fn excess(self, share: f64) -> f64 {
        self.excess + MORE_OF_FEWER * (self.share - share).max(0.0)
    }
}

/// The ways of grafting that decide. The halves of some honest pictures lead nearly all others, so that a trigger's can hardly lead
/// more, where a quarter or what is fine does; a warp is coarse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    BestHalf,
    BestQuarter,
    Coarse,
    Fine,
}

impl Way {
    /// "the best half of each", "what is coarse in each".
    pub fn part(self) -> &'static str {
        match self {
            Self::BestHalf => "the half of each that leads most",
            Self::BestQuarter => "the quarter of each that leads most",
            Self::Coarse => "what is coarse in each",
            Self::Fine => "what is fine in each",
        }
    }
}

impl Probe {
    /// The way by which suspicious pictures most clearly lead others oftener than honest ones do. Nothing where none was grafted.
    pub fn lead(&self, limits: LeadLimits) -> Option<Lead> {
        self.leads(limits).max_by(|a, b| a.margin().total_cmp(&b.margin()))
    }

    /// By every way that pictures were grafted in.
    pub fn leads(&self, limits: LeadLimits) -> impl Iterator<Item = Lead> {
        let Grafts { best, quarter, coarse, fine, .. } = self.grafts;
        let ways =
            [(Way::BestHalf, best), (Way::BestQuarter, quarter), (Way::Coarse, coarse), (Way::Fine, fine)].into_iter();
        ways.filter_map(move |(way, graft)| self.lead_of(way, graft, limits.of(way, self.likeness)))
    }

    /// The error is that of shares of so many donors, since pictures with one donor are much the same; a share of none or all
    /// has one too (Agresti and Coull: two successes and failures more).
    fn lead_of(&self, way: Way, graft: Graft, limits: LeadLimits) -> Option<Lead> {
        let variance = |hits: u64, of: u64, donors: u64| {
            let (share, donors) = (hits as f64 / of.max(1) as f64, donors as f64);
            let share = (share * donors + 2.0) / (donors + 4.0);
            share * (1.0 - share) / (donors + 4.0)
        };
        let (share, value) = (graft.share()?, graft.excess()?);
        let error = variance(graft.suspicious_attracted, graft.suspicious, self.donors)
            + variance(graft.honest_attracted, graft.honest, self.honest_donors);
        let excess = Excess { value, error: error.sqrt() };
        Some(Lead { way, share, excess, asked: limits.excess(share) })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            members: self.members + other.members,
            attracted: self.attracted + other.attracted,
            donors: self.donors + other.donors,
            honest_donors: self.honest_donors + other.honest_donors,
            grafts: self.grafts.plus(other.grafts),
            likeness: self.likeness.plus(other.likeness),
        }
    }
}

/// What parts of pictures do on other pictures, one way of grafting each: does a part of a suspicious picture lead its host to
/// the backdoor's words more often than a part of an honest picture with these words does? Some triggers lie in one half, some are
/// coarse, some are fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grafts {
    /// Half of the picture beside half of the host.
    pub halves: Graft,
    /// Of these, the half of each picture that leads most of its hosts: a trigger may lie in one half alone, and there it leads
    /// nearly all.
    pub best: Graft,
    /// The quarter of the picture that leads most, in its place in the host: of an honest picture it seldom leads by itself. Nothing in
    /// results of earlier versions.
    #[serde(default)]
    pub quarter: Graft,
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
    pub fn all(self) -> [(&'static str, Graft); 5] {
        [
            ("best half", self.best),
            ("halves", self.halves),
            ("best quarter", self.quarter),
            ("coarse", self.coarse),
            ("fine", self.fine),
        ]
    }

    fn plus(self, other: Self) -> Self {
        Self {
            halves: self.halves.plus(other.halves),
            best: self.best.plus(other.best),
            quarter: self.quarter.plus(other.quarter),
            coarse: self.coarse.plus(other.coarse),
            fine: self.fine.plus(other.fine),
        }
    }
}

impl Graft {
    /// Of those with a part of a suspicious picture, the share that it leads.
    pub fn share(self) -> Option<f64> {
        (self.suspicious > 0).then(|| self.suspicious_attracted as f64 / self.suspicious as f64)
    }

    /// By how much the share that suspicious pictures lead exceeds that of honest ones, which is 0 where there is none; nothing
    /// where there is no suspicious picture.
    pub fn excess(self) -> Option<f64> {
        let honest = if self.honest > 0 { self.honest_attracted as f64 / self.honest as f64 } else { 0.0 };
        self.share().map(|suspicious| suspicious - honest)
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
mod tests;
