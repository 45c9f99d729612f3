//! Operations that are started and waited for later.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Instant;

use lethe_collective::{Collective, CollectiveError, Pending};
use tch::Tensor;

use crate::wiring::{BRIEF, PATIENT, Place, Wiring, on_every_rank, sum_of_ranks, tensor, values};

/// More than c10d's two threads for Gloo take up at once.
const BUCKETS: usize = 6;

/// Buckets of different lengths; every value is (bucket + 1) * (rank + 1).
fn buckets(group: &impl Collective) -> Vec<Tensor> {
    let bucket = |i: usize| tensor(group, &vec![((i + 1) * (group.rank() as usize + 1)) as f32; 1 + 5000 * i]);
    (0..BUCKETS).map(bucket).collect()
}

fn start_all(group: &impl Collective, buckets: &mut [Tensor]) -> Vec<Pending> {
    buckets.iter_mut().map(|bucket| group.start_all_reduce_sum(bucket).expect("starts")).collect()
}

/// What every value of a bucket must be after its sum.
fn expected(bucket: usize, world_size: usize) -> f32 {
    ((bucket + 1) * world_size * (world_size + 1) / 2) as f32
}

fn assert_summed(buckets: &[Tensor], world_size: usize) {
    for (i, bucket) in buckets.iter().enumerate() {
        assert!(values(bucket).iter().all(|value| *value == expected(i, world_size)), "bucket {i} is not the sum");
    }
}

pub fn several_in_flight_end_in_order<W: Wiring>() {
    on_every_rank::<W, _>(3, PATIENT, |group| {
        let mut buckets = buckets(&group);
        let pendings = start_all(&group, &mut buckets);
        for (i, pending) in pendings.into_iter().enumerate() {
            pending.wait().expect("ends");
            assert!(values(&buckets[i]).iter().all(|value| *value == expected(i, 3)), "bucket {i} came early");
        }
    });
}

/// How gradient buckets lie: no copy in, none out.
pub fn slices_of_one_buffer_are_summed_in_place<W: Wiring>() {
    on_every_rank::<W, _>(2, PATIENT, |group| {
        let flat = tensor(&group, &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let mut slices = [flat.narrow(0, 0, 2), flat.narrow(0, 3, 2)];
        for pending in start_all(&group, &mut slices) {
            pending.wait().expect("ends");
        }
        assert_eq!(values(&flat), [2.0, 4.0, 3.0, 8.0, 10.0]);
    });
}

pub fn one_in_flight_passes_those_that_wait<W: Wiring>() {
    on_every_rank::<W, _>(2, PATIENT, |group| {
        let mut early = tensor(&group, &[1.0; 10_000]);
        let pending = group.start_all_reduce_sum(&mut early).expect("starts");
        assert_eq!(sum_of_ranks(&group), Ok(vec![1.0, 2.0]));
        group.barrier().expect("passes");
        pending.wait().expect("ends");
        assert!(values(&early).iter().all(|value| *value == 2.0));
    });
}

pub fn a_lost_peer_ends_all_that_is_in_flight<W: Wiring>() {
    on_every_rank::<W, _>(3, PATIENT, |group| {
        assert_eq!(sum_of_ranks(&group), Ok(vec![3.0, 3.0]));
        if group.rank() == 2 {
            return;
        }
        let mut buckets = buckets(&group);
        let began = Instant::now();
        let outcomes: Vec<_> = start_all(&group, &mut buckets).into_iter().map(Pending::wait).collect();
        assert!(matches!(&outcomes[0], Err(CollectiveError::PeerLost { .. })), "{outcomes:?}");
        assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
        assert!(began.elapsed() < PATIENT / 2, "took {:?}", began.elapsed());
    });
}

pub fn a_peer_that_hangs_ends_all_that_is_in_flight_by_the_time_out<W: Wiring>() {
    let (finished, waiting) = channel::<()>();
    let (finished, waiting) = (Mutex::new(Some(finished)), Mutex::new(waiting));
    on_every_rank::<W, _>(2, BRIEF, |group| {
        if group.rank() == 1 {
            // It keeps its connections open, and does nothing until rank 0 has given up.
            let _gone = waiting.lock().expect("is free").recv_timeout(PATIENT);
            return;
        }
        let mut buckets = buckets(&group);
        let began = Instant::now();
        let outcomes: Vec<_> = start_all(&group, &mut buckets).into_iter().map(Pending::wait).collect();
        drop(group);
        let took = began.elapsed();
        drop(finished.lock().expect("is free").take());
        assert!(matches!(&outcomes[0], Err(CollectiveError::TimedOut { .. })), "{outcomes:?}");
        assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
        // One time-out for all of them, not one each.
        assert!(took < 4 * BRIEF, "took {took:?}");
    });
}

pub fn dropped_in_flight_the_tensor_is_quiet_and_the_next_generation_forms<W: Wiring>() {
    let next = std::sync::Arc::new(lethe_collective::MemoryStore::new());
    let began = Instant::now();
    on_every_rank::<W, _>(3, PATIENT, |group| {
        let mut buckets = buckets(&group);
        drop(start_all(&group, &mut buckets));
        assert_summed(&buckets, 3);
        let place = Place { rank: group.rank(), world_size: 3, timeout: PATIENT };
        drop(group);
        let group = W::connect(next.clone(), place).expect("the next generation forms");
        assert_eq!(sum_of_ranks(&group), Ok(vec![3.0, 3.0]));
    });
    assert!(began.elapsed() < PATIENT / 2, "took {:?}", began.elapsed());
}

pub fn dropping_the_group_aborts_what_a_peer_holds_up<W: Wiring>() {
    let (gone, waiting) = channel::<()>();
    let (gone, waiting) = (Mutex::new(Some(gone)), Mutex::new(waiting));
    on_every_rank::<W, _>(2, PATIENT, |group| {
        group.barrier().expect("all are connected"); // or rank 0 may go before rank 1 is
        if group.rank() == 1 {
            // It keeps its connections open and takes part in nothing.
            let _gone = waiting.lock().expect("is free").recv_timeout(PATIENT);
            return;
        }
        let mut buckets = buckets(&group);
        let pendings = start_all(&group, &mut buckets);
        let began = Instant::now();
        drop(group);
        let took = began.elapsed();
        drop(gone.lock().expect("is free").take());
        assert!(pendings.into_iter().map(Pending::wait).all(|outcome| outcome.is_err()));
        assert!(took < PATIENT / 2, "took {took:?}");
    });
}

pub fn one_that_outlives_its_group_keeps_no_socket_open<W: Wiring>() {
    let (noticed, waiting) = channel::<()>();
    let (noticed, waiting) = (Mutex::new(Some(noticed)), Mutex::new(waiting));
    on_every_rank::<W, _>(2, PATIENT, |group| {
        group.barrier().expect("all are connected"); // or rank 0 may go before rank 1 is
        let mut sum = tensor(&group, &[1.0]);
        let pending = group.start_all_reduce_sum(&mut sum).expect("starts");
        if group.rank() == 0 {
            drop(group);
            let _gone = waiting.lock().expect("is free").recv_timeout(PATIENT);
            let words = pending.wait().expect_err("its group is gone").to_string();
            assert!(words.contains("its group was dropped"), "{words}");
            return;
        }
        // Rank 0 may have gone before its part of this was sent.
        let began = Instant::now();
        let lost = pending.wait().and_then(|()| sum_of_ranks(&group));
        drop(noticed.lock().expect("is free").take());
        assert!(matches!(lost, Err(CollectiveError::PeerLost { .. })), "{lost:?}");
        assert!(began.elapsed() < PATIENT / 2, "took {:?}", began.elapsed());
    });
}
