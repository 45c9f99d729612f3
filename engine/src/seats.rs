//! Which worker gets which rank of the next generation.
//!
//! It must never seat a worker twice, nor give rank 0 to a newcomer while a former member is there: newcomers copy
//! their state from those who have it, and rank 0's is the phase's.

use std::collections::BTreeMap;

use lethe_common::ids::{ShardId, WorkerId};

use crate::gang::LEADING_RANK;

/// Who holds which rank.
pub(crate) type Seats = BTreeMap<ShardId, WorkerId>;

/// So many seats among the idle workers: former members keep their ranks where those exist, the others of them take
/// the lowest free ranks, newcomers what is left in their order.
pub(crate) fn seated<'a>(former: &Seats, size: u32, idle: impl Iterator<Item = &'a WorkerId>) -> Seats {
    let idle: Vec<&WorkerId> = idle.collect();
    let here = former.iter().filter(|(_, worker)| idle.contains(worker));
    let (kept, moved): (Vec<_>, Vec<_>) = here.partition(|(rank, _)| rank.0 < size);
    let mut seats: Seats = kept.into_iter().map(|(rank, worker)| (*rank, worker.clone())).collect();
    let newcomers = idle.iter().copied().filter(|worker| former.values().all(|member| member != *worker));
    let mut moved = moved.into_iter().map(|(_, worker)| worker);
    if !seats.contains_key(&LEADING_RANK)
        && let Some(leader) = moved.next().cloned().or_else(|| seats.pop_last().map(|(_, worker)| worker))
    {
        seats.insert(LEADING_RANK, leader);
    }
    let mut next = moved.chain(newcomers);
    for rank in (0..size).map(ShardId) {
        seats.entry(rank).or_insert_with(|| next.next().expect("at least as many workers are idle").clone());
    }
    seats
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(names: &str) -> Vec<WorkerId> {
        names.split(' ').map(|name| WorkerId::new(name).expect("is an id")).collect()
    }

    fn seats(names: &str) -> Seats {
        (0..).map(ShardId).zip(workers(names)).collect()
    }

    #[test]
    fn former_members_keep_their_ranks_and_lead() {
        let table = [
            ("a b c", 3, "a b c", "a b c"),
            ("a b c", 3, "a c n", "a n c"), // the newcomer takes the free rank
            ("a b c", 3, "b c n", "c b n"), // the last former member leads
            ("a b c d", 3, "b c d", "d b c"),
            ("a b c d", 3, "a c d n", "a d c"), // a former member goes before a newcomer
            ("a b c d", 2, "c d", "c d"),
            ("a b", 4, "a b c d", "a b c d"),
            ("a b", 2, "b n", "b n"),
            ("a b", 2, "m n", "m n"),
        ];
        for (former, size, idle, expected) in table {
            let found = seated(&seats(former), size, workers(idle).iter());
            assert_eq!(found, seats(expected), "{former}, {size} of {idle}");
        }
    }

    #[test]
    fn the_first_generation_is_seated_in_the_order_of_names() {
        assert_eq!(seated(&Seats::new(), 2, workers("a b c").iter()), seats("a b"));
    }
}
