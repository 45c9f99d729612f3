//! Who belongs to a confirmed cluster, by how each picture leads: members that lead as honest pictures do are let go, and candidates
//! that lead as the cluster's poison does are taken in. Where the two do not come clearly apart, as of warps, which nothing that is cut out
//! of a picture carries over, candidates are taken in by their scores alone, where these stand out from honest suspects'.
//!
//! It must never let anybody go where the two do not come clearly apart, nor move by pictures whom nobody looked at.

use std::collections::{BTreeMap, BTreeSet};

use lethe_evidence::artifacts::{Beside, Donor, DonorHits, ForgetSet, Hits, Member};
use lethe_evidence::classes::{Chances, ExpectedErrors, Seen};

use super::marks::Said;
use super::select::LEAST_MEMBERS;

/// A member is let go where it is less likely poison than this, and a candidate taken in where it is less likely honest.
const UNLIKELY: f64 = 0.2;
/// None is moved by pictures where more than this share of members, or of candidates where no member goes, would be put into the wrong
/// class: what leads as a warp does comes apart badly.
const MOST_ERRORS: f64 = 0.05;
/// And no candidate is taken in where more candidates than so many for each poison among them would be (FINDINGS.md).
const MOST_ERRORS_OF_POISON: f64 = 0.25;

/// By shard and key.
#[derive(Debug, Default, Clone)]
pub(super) struct Moves {
    let_go: BTreeSet<(u32, String)>,
    taken_in: BTreeSet<(u32, String)>,
    /// Those of them that came by their scores.
    by_score: bool,
    doubtful: BTreeSet<(u32, String)>,
}

impl Moves {
    pub fn of(forget: &ForgetSet, cluster: usize, donors: &DonorHits, said: &Said) -> Self {
        Self::by_pictures(forget, cluster, donors, said).unwrap_or_else(|| Self::by_scores(forget, cluster))
    }

    /// Nothing where pictures do not tell. Whom a person called poison is never let go.
    fn by_pictures(forget: &ForgetSet, cluster: usize, donors: &DonorHits, said: &Said) -> Option<Self> {
        let members = looked_at(&forget.members, cluster, &donors.members);
        let candidates = looked_at(&forget.candidates, cluster, &donors.candidates);
        let seen = |(member, hits): &(&Member, Hits)| Seen { hits: *hits, is_poison: said.is_poison(member) };
        let seen: Vec<Seen> = members.iter().map(seen).collect();
        let of_candidates: Vec<Hits> = candidates.iter().map(|(_, hits)| *hits).collect();
        let chances = Chances::of(&seen, &of_candidates, &donors.honest)?;
        let let_go = named(&members, &chances.members, |chance| chance < UNLIKELY);
        let stays = forget.clusters[cluster].members.saturating_sub(let_go.len() as u64);
        // Of what a shortcut leads, most is poison: else these classes are other ones.
        let are_others = 2 * let_go.len() > members.len() || stays < LEAST_MEMBERS as u64;
        let [of_members, of_candidates] = [&chances.members, &chances.candidates].map(|one| ExpectedErrors::of(one));
        let are_one = let_go.is_empty() && of_candidates.of_all() > MOST_ERRORS;
        if are_others || are_one || of_members.of_all() > MOST_ERRORS {
            return None;
        }
        let are_clear = of_candidates.of_poison() <= MOST_ERRORS_OF_POISON;
        let taken_in = named(&candidates, &chances.candidates, |chance| are_clear && chance > 1.0 - UNLIKELY);
        Some(Self { let_go, taken_in, ..Self::default() })
    }

    fn by_scores(forget: &ForgetSet, cluster: usize) -> Self {
        let down_to = |least: &[Option<f64>]| -> BTreeSet<_> {
            let least = least.get(cluster).copied().flatten().unwrap_or(f64::INFINITY);
            let of_it = forget.candidates.iter().filter(|one| one.cluster as usize == cluster);
            of_it.filter(|one| one.score >= least).map(name).collect()
        };
        let taken_in = down_to(&forget.surely);
        let doubtful = down_to(&forget.probably).difference(&taken_in).cloned().collect();
        Self { taken_in, doubtful, by_score: true, ..Self::default() }
    }

    /// How many members went.
    pub fn let_go(&self, forget: &mut ForgetSet, cluster: usize) -> u64 {
        let before = forget.members.len();
        let goes = |member: &Member| member.cluster as usize == cluster && self.let_go.contains(&name(member));
        forget.members.retain(|member| !goes(member));
        let gone = (before - forget.members.len()) as u64;
        forget.clusters[cluster].members -= gone;
        gone
    }

    /// Whether the candidate comes.
    pub fn takes_in(&self, candidate: &Member) -> bool {
        self.taken_in.contains(&name(candidate))
    }

    /// Whether the candidate is forgotten, though it does not come.
    pub fn doubts(&self, candidate: &Member) -> bool {
        self.doubtful.contains(&name(candidate))
    }

    /// Counts who came.
    pub fn count_in(&self, beside: &mut Beside) {
        beside.taken_in += 1;
        beside.by_score += u64::from(self.by_score);
    }
}

#[cfg(test)]
impl Moves {
    pub fn taking_in(taken_in: BTreeSet<(u32, String)>) -> Self {
        Self { taken_in, ..Self::default() }
    }
}

fn name(member: &Member) -> (u32, String) {
    (member.shard, member.key.clone())
}

/// Of a cluster's suspects, those whose pictures were put on others, in their order.
fn looked_at<'a>(suspects: &'a [Member], cluster: usize, donors: &[Donor]) -> Vec<(&'a Member, Hits)> {
    let hits: BTreeMap<(u32, &str), Hits> =
        donors.iter().map(|donor| ((donor.shard, donor.key.as_str()), donor.hits)).collect();
    let of_it = suspects.iter().filter(|suspect| suspect.cluster as usize == cluster);
    of_it.filter_map(|suspect| Some((suspect, *hits.get(&suspect.name())?))).collect()
}

fn named(suspects: &[(&Member, Hits)], chances: &[f64], moves: impl Fn(f64) -> bool) -> BTreeSet<(u32, String)> {
    let moved = suspects.iter().zip(chances).filter(|(_, chance)| moves(**chance));
    moved.map(|((suspect, _), _)| name(suspect)).collect()
}
