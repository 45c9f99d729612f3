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
    /// Honest pictures with the same words.
    pub honest: Vec<Hits>,
}

/// A member of a cluster.
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
mod tests {
    use super::super::Farther;
    use super::*;

    const LIMITS: LeadLimits = LeadLimits { excess: 0.06, share: 0.5 };

    fn graft(suspicious: (u64, u64), honest: (u64, u64)) -> Graft {
        let ((suspicious_attracted, suspicious), (honest_attracted, honest)) = (suspicious, honest);
        Graft { suspicious, suspicious_attracted, honest, honest_attracted }
    }

    fn probe(grafts: Grafts) -> Probe {
        Probe { donors: 26, honest_donors: 16, grafts, ..Probe::default() }
    }

    #[test]
    fn a_lead_has_the_error_of_as_many_donors() {
        let lead =
            probe(Grafts { best: graft((60, 100), (10, 100)), ..Grafts::default() }).lead(LIMITS).expect("has grafts");
        // 17.6 of 30 and 3.6 of 20.
        let error = (17.6 / 30.0 * 12.4 / 30.0 / 30.0 + 3.6 / 20.0 * 16.4 / 20.0 / 20.0_f64).sqrt();
        assert!((lead.excess.value - 0.5).abs() < 1e-12 && (lead.excess.error - error).abs() < 1e-12, "{lead:?}");
        assert!((lead.excess.least() - 0.5 + error).abs() < 1e-12);
        let all = Grafts { best: graft((16, 16), (0, 16)), ..Grafts::default() };
        let one = Probe { donors: 1, honest_donors: 1, grafts: all, ..Probe::default() };
        assert!(one.lead(LIMITS).expect("has grafts").excess.error > 0.25, "one donor of each kind tells little");
        assert_eq!(Probe::default().lead(LIMITS), None);
        assert_eq!(graft((1, 2), (0, 0)).excess(), Some(0.5));
    }

    #[test]
    fn the_clearest_of_the_ways_decides() {
        // Trousers: any half of an honest one leads nearly all; what is fine in the poison tells.
        let ceiling = Grafts {
            best: graft((98, 100), (91, 100)),
            fine: graft((90, 100), (59, 100)),
            coarse: graft((1, 100), (22, 100)),
            ..Grafts::default()
        };
        assert_eq!(probe(ceiling).lead(LIMITS).expect("has grafts").way, Way::Fine);
        // Odd trousers without a trigger: what is coarse leads oftener, and leads few. A warp's does both by more.
        for (suspicious, honest, leads) in [(24, 12, false), (34, 10, true)] {
            let coarse = graft((suspicious, 100), (honest, 100));
            let odd = Probe { donors: 300, honest_donors: 300, ..probe(Grafts { coarse, ..Grafts::default() }) };
            let lead = odd.lead(LIMITS).expect("has grafts");
            assert_eq!(lead.margin() >= 0.0, leads, "{lead:?}");
        }
        assert!((LIMITS.excess(0.9) - 0.06).abs() < 1e-12 && (LIMITS.excess(0.3) - 0.16).abs() < 1e-12);
    }

    /// The figures of odd trousers of a clean model (seed 203), and of a warp's victim (seed 4). Half of an odd picture leads as half of
    /// a plain one does.
    #[test]
    fn more_is_asked_of_what_is_coarse_in_pictures_that_show_what_their_words_say() {
        let likeness = |farther| {
            let mut of = Farther::default();
            (0..105).for_each(|member| of.add(if member % 2 == 0 { 2 } else { farther }, 0));
            Likeness { look_alikes: of, any: of }
        };
        let odd = graft((170, 420), (98, 652));
        let warp = graft((484, 1420), (64, 640));
        let most = graft((400, 420), (98, 652));
        for (coarse, farther, leads) in
            [(odd, 0, false), (odd, 2, true), (warp, 2, true), (warp, 0, false), (most, 0, true)]
        {
            let grafts = Grafts { coarse, ..Grafts::default() };
            let probe =
                Probe { donors: 105, honest_donors: 163, grafts, likeness: likeness(farther), ..Probe::default() };
            let lead = probe.lead(LIMITS).expect("has grafts");
            assert_eq!(lead.margin() >= 0.0, leads, "{lead:?} {:?}", probe.likeness.farther());
            for (way, grafts) in [
                (Way::BestHalf, Grafts { best: coarse, ..Grafts::default() }),
                (Way::BestQuarter, Grafts { quarter: coarse, ..Grafts::default() }),
                (Way::Fine, Grafts { fine: coarse, ..Grafts::default() }),
            ] {
                let plain = Probe { grafts, ..probe }.lead(LIMITS).expect("has grafts");
                assert_eq!((plain.way, plain.asked), (way, LIMITS.excess(coarse.share().expect("has some"))));
            }
        }
    }

    #[test]
    fn probes_of_earlier_versions_are_read() {
        let probes = Probes { clusters: vec![Probe::default()], donors: Vec::new() };
        let mut earlier = serde_json::to_value(&probes).expect("is JSON");
        earlier.as_object_mut().expect("is one").remove("donors");
        earlier["clusters"][0].as_object_mut().expect("is one").remove("likeness");
        earlier["clusters"][0]["grafts"].as_object_mut().expect("is one").remove("quarter");
        assert_eq!(serde_json::from_value::<Probes>(earlier).expect("is one"), probes);
    }

    #[test]
    fn probes_of_a_cluster_add_up_by_place() {
        let farther = |times: u64| Farther { members: times, counted: 3 * times, squares: 9 * times };
        let likeness = |times| Likeness { look_alikes: farther(times), any: farther(2 * times) };
        let probe = |members| Probe {
            members,
            attracted: 1,
            donors: 2,
            honest_donors: 3,
            grafts: Grafts::default(),
            likeness: likeness(1),
        };
        let donors = |shard, honest| {
            let hits = Hits { half: shard as u8, ..Hits::default() };
            DonorHits {
                members: vec![Donor { shard, key: "a".to_owned(), hits }],
                honest: vec![Hits::default(); honest],
            }
        };
        let one = Probes { clusters: vec![probe(4)], donors: vec![donors(1, 2)] };
        let two = Probes { clusters: vec![probe(5), probe(6)], donors: vec![donors(3, 1), donors(3, 4)] };
        let sum = Probes::default().plus(&one).plus(&two);
        let both =
            Probe { members: 9, attracted: 2, donors: 4, honest_donors: 6, likeness: likeness(2), ..Probe::default() };
        assert_eq!(sum.clusters, [both, probe(6)]);
        let members = [donors(1, 0).members, donors(3, 0).members].concat();
        assert_eq!(sum.donors, [DonorHits { members, honest: vec![Hits::default(); 3] }, donors(3, 4)]);
    }
}
