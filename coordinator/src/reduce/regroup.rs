//! Who belongs to a confirmed cluster, by how each picture leads: members that lead as honest pictures do are let go, and candidates
//! that lead as the cluster's poison does are taken in.
//!
//! It must never move anybody where the two do not come clearly apart, nor whom nobody looked at.

use std::collections::{BTreeMap, BTreeSet};

use lethe_evidence::artifacts::{Donor, DonorHits, ForgetSet, Hits, Member};
use lethe_evidence::classes::{Chances, Seen, expected_errors};

use super::marks::Said;
use super::select::{LEAST_MEMBERS, strongest_first};

/// A member is let go where it is less likely poison than this, and a candidate taken in where it is less likely honest.
const UNLIKELY: f64 = 0.2;
/// None is moved where more than this share would be put into the wrong class: what leads as a warp does comes apart badly.
const MOST_ERRORS: f64 = 0.05;

/// By shard and key.
#[derive(Debug, Default)]
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
        if are_others || expected_errors(&chances.members) > MOST_ERRORS {
            return Self::default();
        }
        let are_clear = expected_errors(&chances.candidates) <= MOST_ERRORS;
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

    /// How many came, the strongest of them, for at most so many members in all.
    pub fn take_in(&self, forget: &mut ForgetSet, cluster: usize, most: usize) -> u64 {
        let room = most.saturating_sub(forget.members.len());
        let comes = |one: &&Member| one.cluster as usize == cluster && self.taken_in.contains(&name(one));
        let taken_in: Vec<Member> = forget.candidates.iter().filter(comes).take(room).cloned().collect();
        let came = taken_in.len() as u64;
        forget.members.extend(taken_in);
        strongest_first(&mut forget.members);
        forget.clusters[cluster].members += came;
        came
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
