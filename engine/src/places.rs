//! Where each rank of a running gang said last that it is, and which one the others wait for.
//!
//! It must never be stored, nor decide anything: it is for people.

use std::collections::BTreeMap;

use lethe_common::ids::{ShardId, WorkerId};

/// The longest name of a call that is kept, in bytes: a worker may say anything.
const MAX_CALL_BYTES: usize = 64;

/// How far a gang's rank is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GangPlace {
    /// The step it works on, from 1.
    pub step: u64,
    /// The collective call it waits in, or else the last that it left; empty before the first.
    pub call: String,
    /// Of the calls of this step, from 1; 0 before the first.
    pub call_number: u64,
    pub waits: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    ranks: BTreeMap<ShardId, Rank>,
}

#[derive(Debug, Clone)]
struct Rank {
    worker: WorkerId,
    host: String,
    place: Option<GangPlace>,
}

impl Places {
    pub fn seat(&mut self, rank: ShardId, worker: &WorkerId, host: &str) {
        self.ranks.insert(rank, Rank { worker: worker.clone(), host: host.to_owned(), place: None });
    }

    /// Whether the rank took a step since it last said where it is.
    pub fn note(&mut self, rank: ShardId, worker: &WorkerId, mut place: GangPlace) -> bool {
        place.call.truncate(place.call.floor_char_boundary(MAX_CALL_BYTES));
        let Some(rank) = self.ranks.get_mut(&rank).filter(|rank| rank.worker == *worker) else { return false };
        let step = place.step;
        rank.place.replace(place).is_some_and(|before| before.step < step)
    }

    /// The rank that is furthest behind, where one is; one that has said nothing is behind all that have.
    pub fn blame(&self) -> Option<String> {
        let (last, behind) = self.ranks.iter().min_by_key(|(_, rank)| rank.order())?;
        let ahead = self.ranks.values().max_by_key(|rank| rank.order())?;
        let place = ahead.place.as_ref().filter(|_| ahead.order() > behind.order())?;
        let alike = self.ranks.values().filter(|rank| rank.order() == behind.order()).count() - 1;
        let others = if alike > 0 { format!(" and {alike} more") } else { String::new() };
        let Rank { worker, host, .. } = behind;
        Some(format!(
            "rank {last} on worker {worker} (host {host}){others} {}; the furthest {}",
            behind.place.as_ref().map_or_else(|| "has not said where it is".to_owned(), GangPlace::describe),
            place.describe()
        ))
    }
}

impl Rank {
    fn order(&self) -> Option<(u64, u64, bool)> {
        self.place.as_ref().map(|place| (place.step, place.call_number, !place.waits))
    }
}

impl GangPlace {
    fn describe(&self) -> String {
        let Self { step, call, call_number, waits } = self;
        match (waits, call.is_empty()) {
            (true, _) => format!("waits in step {step} {call} (call {call_number})"),
            (false, true) => format!("is at step {step} before its first call"),
            (false, false) => format!("is at step {step} after {call} (call {call_number})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(rank: u32) -> WorkerId {
        WorkerId::new(&format!("w-{rank}")).expect("is an id")
    }

    fn place(step: u64, call: &str, call_number: u64, waits: bool) -> GangPlace {
        GangPlace { step, call: call.to_owned(), call_number, waits }
    }

    fn places(of: &[Option<GangPlace>]) -> Places {
        let mut places = Places::default();
        for (rank, place) in (0..).zip(of) {
            places.seat(ShardId(rank), &worker(rank), "h");
            if let Some(place) = place {
                places.note(ShardId(rank), &worker(rank), place.clone());
            }
        }
        places
    }

    #[test]
    fn the_furthest_behind_is_named_with_what_the_others_wait_in() {
        let reduce = Some(place(41, "all_reduce", 124, true));
        let gather = Some(place(41, "all_gather", 123, false));
        let table = [
            (
                vec![reduce.clone(), reduce.clone(), gather.clone()],
                "rank 2 on worker w-2 (host h) is at step 41 after all_gather (call 123); the furthest waits in step 41 \
                 all_reduce (call 124)",
            ),
            (
                vec![reduce.clone(), None, None],
                "rank 1 on worker w-1 (host h) and 1 more has not said where it is; the furthest waits in step 41 \
                 all_reduce (call 124)",
            ),
            (
                vec![Some(place(1, "", 0, false)), gather.clone()],
                "rank 0 on worker w-0 (host h) is at step 1 before its first call; the furthest is at step 41 after \
                 all_gather (call 123)",
            ),
        ];
        for (of, expected) in table {
            assert_eq!(places(&of).blame().as_deref(), Some(expected));
        }
        assert_eq!(places(&[reduce.clone(), reduce]).blame(), None, "they wait for nobody of them");
        assert_eq!(places(&[None, None]).blame(), None);
    }

    #[test]
    fn only_its_holder_speaks_for_a_rank_and_not_at_any_length() {
        let mut places = places(&[Some(place(2, "vote", 9, true)), None]);
        places.note(ShardId(1), &worker(0), place(1, "vote", 3, true));
        places.note(ShardId(7), &worker(7), place(1, "vote", 3, true));
        assert!(places.blame().is_some_and(|blame| blame.contains("w-1") && blame.contains("has not said")));
        places.note(ShardId(1), &worker(1), place(1, &"é".repeat(1_000), 3, true));
        assert!(places.blame().is_some_and(|blame| blame.len() < 300));
    }
}
