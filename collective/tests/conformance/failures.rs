//! Peers that do not come, do not take part, or go.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use lethe_collective::{Collective, CollectiveError, MemoryStore};

use crate::wiring::{BRIEF, PATIENT, Place, Wiring, on_every_rank, sum_of_ranks};

pub fn a_rank_without_peers_times_out<W: Wiring>() {
    let began = Instant::now();
    let alone = W::connect(Arc::new(MemoryStore::new()), Place { rank: 0, world_size: 2, timeout: BRIEF });
    assert!(matches!(alone, Err(CollectiveError::TimedOut { operation: "connect", .. })), "{alone:?}");
    assert!(began.elapsed() < 10 * BRIEF, "took {:?}", began.elapsed());
}

pub fn a_peer_that_does_not_take_part_times_out<W: Wiring>() {
    let (finished, waiting) = channel::<()>();
    let waiting = Mutex::new(waiting);
    let began = Instant::now();
    let outcomes = on_every_rank::<W, _>(2, BRIEF, |group| match group.rank() {
        // Rank 1 keeps its connections open, and does nothing until rank 0 has given up.
        1 => waiting.lock().expect("is free").recv_timeout(PATIENT).map(|()| None).expect("rank 0 gives up"),
        _ => {
            let outcome = sum_of_ranks(&group);
            finished.send(()).expect("rank 1 listens");
            Some(outcome)
        }
    });
    assert!(
        matches!(&outcomes[0], Some(Err(CollectiveError::TimedOut { operation: "all_reduce", .. }))),
        "{outcomes:?}"
    );
    assert!(began.elapsed() < 10 * BRIEF, "took {:?}", began.elapsed());
}

pub fn survivors_of_a_lost_peer_fail_at_once_and_form_the_next_generation<W: Wiring>() {
    let next = Arc::new(MemoryStore::new());
    let outcomes = on_every_rank::<W, _>(3, PATIENT, |group| {
        assert_eq!(sum_of_ranks(&group), Ok(vec![3.0, 3.0]));
        let rank = group.rank();
        if rank == 2 {
            return None;
        }
        let began = Instant::now();
        let failure = sum_of_ranks(&group);
        drop(group);
        let noticed = began.elapsed();
        let place = Place { rank, world_size: 2, timeout: PATIENT };
        let sum = W::connect(next.clone(), place).and_then(|group| sum_of_ranks(&group));
        Some((failure, noticed, sum))
    });
    for (failure, noticed, sum) in outcomes.into_iter().flatten() {
        assert!(matches!(failure, Err(CollectiveError::PeerLost { operation: "all_reduce", .. })), "{failure:?}");
        assert!(noticed < PATIENT / 2, "a lost peer was noticed only after {noticed:?}");
        assert_eq!(sum, Ok(vec![1.0, 2.0]));
    }
}
