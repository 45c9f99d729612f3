//! What every backend must do, with ranks as threads over an in-memory store.
//!
//! Bounds on time are multiples of the group's time-out: a wait that ends later is a hang.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lethe_collective::{CollectiveError, Group, GroupOptions, MemoryStore, RendezvousStore};
use tch::{Device, Kind, Tensor};

const PATIENT: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(500);

fn connect(store: &Arc<MemoryStore>, rank: u32, world_size: u32, timeout: Duration) -> Result<Group, CollectiveError> {
    let options = GroupOptions { rank, world_size, host: "127.0.0.1".to_owned(), timeout };
    let store: Arc<dyn RendezvousStore> = store.clone();
    Group::connect(store, &options)
}

/// Runs every rank in a thread of its own, and gives what they returned, in order of rank.
fn on_every_rank<T: Send>(world_size: u32, timeout: Duration, body: impl Fn(Group) -> T + Sync) -> Vec<T> {
    let store = Arc::new(MemoryStore::new());
    let run = |rank| body(connect(&store, rank, world_size, timeout).expect("the group forms"));
    std::thread::scope(|scope| {
        let ranks: Vec<_> = (0..world_size).map(|rank| scope.spawn(move || run(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().expect("the rank does not panic")).collect()
    })
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor).expect("is a vector of f32")
}

fn sum_of_ranks(group: &Group) -> Result<Vec<f32>, CollectiveError> {
    let mut tensor = Tensor::from_slice(&[group.rank() as f32, 1.0]);
    group.all_reduce_sum(&mut tensor)?;
    Ok(values(&tensor))
}

#[test]
fn all_reduce_gives_every_rank_the_sum() {
    for world_size in [1, 2, 3, 4] {
        let sums = on_every_rank(world_size, PATIENT, |group| sum_of_ranks(&group));
        let expected = vec![(0..world_size).sum::<u32>() as f32, world_size as f32];
        assert_eq!(sums, vec![Ok(expected); world_size as usize]);
    }
}

#[test]
fn all_reduce_changes_a_gradient_in_place() {
    let gradients = on_every_rank(2, PATIENT, |group| {
        let weight = Tensor::from_slice(&[3.0_f32]).set_requires_grad(true);
        (&weight * &weight * f64::from(group.rank() + 1)).sum(Kind::Float).backward();
        group.all_reduce_sum(&mut weight.grad()).expect("sums");
        values(&weight.grad())
    });
    // d(w²)/dw = 6 on rank 0, twice that on rank 1.
    assert_eq!(gradients, [[18.0], [18.0]]);
}

#[test]
fn broadcast_gives_the_roots_values() {
    let received = on_every_rank(3, PATIENT, |group| {
        let mut tensor = Tensor::full([2], i64::from(group.rank()), (Kind::Int64, Device::Cpu));
        group.broadcast(&mut tensor, 2).expect("broadcasts");
        Vec::<i64>::try_from(&tensor).expect("is a vector of i64")
    });
    assert_eq!(received, [[2, 2], [2, 2], [2, 2]]);
}

#[test]
fn all_gather_keeps_the_order_of_ranks() {
    let gathered = on_every_rank(4, PATIENT, |group| {
        let mine = Tensor::from_slice(&[group.rank() as f32]);
        group.all_gather(&mine).expect("gathers").iter().flat_map(values).collect::<Vec<f32>>()
    });
    assert_eq!(gathered, vec![vec![0.0, 1.0, 2.0, 3.0]; 4]);
}

#[test]
fn a_barrier_waits_for_the_last() {
    let arrived = std::sync::atomic::AtomicU32::new(0);
    let seen = on_every_rank(3, PATIENT, |group| {
        arrived.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        group.barrier().expect("passes");
        arrived.load(std::sync::atomic::Ordering::SeqCst)
    });
    assert_eq!(seen, [3, 3, 3]);
}

#[test]
fn what_gloo_cannot_take_is_refused_by_name() {
    let errors = on_every_rank(1, PATIENT, |group| {
        let transposed = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).transpose(0, 1);
        let mut whole = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        (group.all_gather(&transposed).map(drop), group.broadcast(&mut whole, 1))
    });
    let (gather, broadcast) = &errors[0];
    assert!(
        matches!(gather, Err(CollectiveError::Other { operation: "all_gather", detail }) if detail.contains("[3, 2]"))
    );
    assert!(matches!(broadcast, Err(CollectiveError::Other { operation: "broadcast", .. })));
}

#[test]
fn a_rank_without_peers_times_out() {
    let began = Instant::now();
    let alone = connect(&Arc::new(MemoryStore::new()), 0, 2, BRIEF);
    assert!(matches!(alone, Err(CollectiveError::TimedOut { operation: "connect", .. })), "{alone:?}");
    assert!(began.elapsed() < 20 * BRIEF, "took {:?}", began.elapsed());
}

#[test]
fn a_peer_that_does_not_take_part_times_out() {
    let (finished, waiting) = std::sync::mpsc::channel::<()>();
    let waiting = std::sync::Mutex::new(waiting);
    let began = Instant::now();
    let outcomes = on_every_rank(2, BRIEF, |group| match group.rank() {
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
    assert!(began.elapsed() < 20 * BRIEF, "took {:?}", began.elapsed());
}

#[test]
fn survivors_of_a_lost_peer_fail_at_once_and_form_the_next_generation() {
    let next = Arc::new(MemoryStore::new());
    let outcomes = on_every_rank(3, PATIENT, |group| {
        assert_eq!(sum_of_ranks(&group), Ok(vec![3.0, 3.0]));
        let rank = group.rank();
        if rank == 2 {
            return None;
        }
        let began = Instant::now();
        let failure = sum_of_ranks(&group);
        drop(group);
        let noticed = began.elapsed();
        let sum = connect(&next, rank, 2, PATIENT).and_then(|group| sum_of_ranks(&group));
        Some((failure, noticed, sum))
    });
    for (failure, noticed, sum) in outcomes.into_iter().flatten() {
        assert!(matches!(failure, Err(CollectiveError::PeerLost { operation: "all_reduce", .. })), "{failure:?}");
        assert!(noticed < PATIENT / 2, "a lost peer was noticed only after {noticed:?}");
        assert_eq!(sum, Ok(vec![1.0, 2.0]));
    }
}

/// A store that fails, and one that panics: both must come back as errors through C++.
struct Broken {
    panics: bool,
}

impl RendezvousStore for Broken {
    fn set(&self, key: &str, _: &[u8]) -> Result<(), lethe_collective::RendezvousError> {
        assert!(!self.panics, "the test's store panics at {key}");
        Err(lethe_collective::RendezvousError::Unavailable("the task was aborted".to_owned()))
    }

    fn get(&self, key: &str, _: Duration) -> Result<Vec<u8>, lethe_collective::RendezvousError> {
        self.set(key, &[]).map(|()| Vec::new())
    }

    fn add(&self, key: &str, _: i64) -> Result<i64, lethe_collective::RendezvousError> {
        self.set(key, &[]).map(|()| 0)
    }
}

#[test]
fn a_stores_error_and_its_panic_reach_the_caller() {
    for (panics, expected) in [(false, "the task was aborted"), (true, "panicked")] {
        let options = GroupOptions { rank: 0, world_size: 2, host: "127.0.0.1".to_owned(), timeout: BRIEF };
        let error = Group::connect(Arc::new(Broken { panics }), &options).expect_err("the store is broken");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_store_is_released_with_the_group() {
    let store = Arc::new(MemoryStore::new());
    drop(connect(&store, 0, 1, PATIENT).expect("a world of one forms"));
    assert_eq!(Arc::strong_count(&store), 1);
}
