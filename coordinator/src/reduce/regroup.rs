//! Who belongs to a confirmed cluster, by how each picture leads: members that lead as honest pictures do are let go, and candidates
//! that lead as the cluster's poison does are taken in.
//!
//! It must never move anybody where the two do not come clearly apart, nor whom nobody looked at.

use std::collections::{BTreeMap, BTreeSet};

use lethe_evidence::artifacts::{Donor, DonorHits, ForgetSet, Hits, Member};
use lethe_evidence::classes::{Chances, ExpectedErrors, Seen};

use super::marks::Said;
use super::select::LEAST_MEMBERS;

/// A member is let go where it is less likely poison than this, and a candidate taken in where it is less likely honest.
const UNLIKELY: f64 = 0.2;
/// None is moved where more than this share of members would be put into the wrong class: what leads as a warp does comes apart badly.
const MOST_ERRORS: f64 = 0.05;
/// And no candidate is taken in where more candidates than so many for each poison among them would be (FINDINGS.md).
const MOST_ERRORS_OF_POISON: f64 = 0.25;

/// By shard and key.
#[derive(Debug, Default, Clone)]
pub(super) struct Moves {
    let_go: BTreeSet<(u32, String)>,
    taken_in: BTreeSet<(u32, String)>,
}

impl Moves {
    /// Whom a person called poison is never let go.
    pub fn of(forget: &ForgetSet, cluster: usize, donors: &DonorHits, said: &Said) -> Self {
        let members = looked_at(&forget.members, cluster, &donors.members);
        let candidates = looked_at(&forget.candidates, cluster, &donors.candidates);
        let seen = |(member, hits): &(&Member, Hits)| Seen { hits: *hits, is_poison: said.is_poison(member) };
        let seen: Vec<Seen> = members.iter().map(seen).collect();
        let of_candidates: Vec<Hits> = candidates.iter().map(|(_, hits)| *hits).collect();
        let Some(chances) = Chances::of(&seen, &of_candidates, &donors.honest) else { return Self::default() };
        let let_go = named(&members, &chances.members, |chance| chance < UNLIKELY);
        let stays = forget.clusters[cluster].members.saturating_sub(let_go.len() as u64);
        // Of what a shortcut leads, most is poison: else these classes are other ones.
        let are_others = 2 * let_go.len() > members.len() || stays < LEAST_MEMBERS as u64;
        if are_others || ExpectedErrors::of(&chances.members).of_all() > MOST_ERRORS {
            return Self::default();
        }
        let are_clear = ExpectedErrors::of(&chances.candidates).of_poison() <= MOST_ERRORS_OF_POISON;
        let taken_in = named(&candidates, &chances.candidates, |chance| are_clear && chance > 1.0 - UNLIKELY);
        Self { let_go, taken_in }
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
