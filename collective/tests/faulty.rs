//! Planned failures on Gloo: each fires once, where it was planned, and shows to the peers as the real one would.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lethe_collective::{
    Backend, Collective, CollectiveError, Faulty, Group, GroupOptions, Injection, MemoryStore, Mischief,
};
use tch::Tensor;

const PATIENT: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(1500);

type Outcome = Result<Vec<f32>, CollectiveError>;

/// Two ranks; what is planned is for rank 1, at step 5, call 2.
fn both(timeout: Duration, mischief: Mischief, body: impl Fn(&Faulty<Group>) -> Outcome + Sync) -> [Outcome; 2] {
    let store = Arc::new(MemoryStore::new());
    let planned = Mutex::new(Some(Injection { rank: 1, step: 5, call: 2, mischief }));
    let run = |rank: u32| {
        let backend = Backend::Gloo { host: "127.0.0.1".to_owned() };
        let options = GroupOptions { rank, world_size: 2, backend, timeout };
        let group = Group::connect(store.clone(), &options).expect("the group forms");
        let injections = if rank == 1 { planned.lock().expect("is free").take() } else { None };
        let group = Faulty::new(group, injections.into_iter().collect());
        let outcome = body(&group);
        assert_eq!(group.left(), 0, "rank {rank}'s failure did not fire");
        outcome
    };
    std::thread::scope(|scope| {
        [0, 1].map(|rank| scope.spawn(move || run(rank))).map(|rank| rank.join().expect("does not panic"))
    })
}

fn sum(group: &impl Collective) -> Outcome {
    let mut tensor = Tensor::from_slice(&[1.0_f32, 2.0]);
    group.all_reduce_sum(&mut tensor)?;
    Ok(Vec::try_from(&tensor).expect("is a vector"))
}

fn start_and_wait(group: &impl Collective) -> Outcome {
    let mut tensor = Tensor::from_slice(&[1.0_f32, 2.0]);
    group.start_all_reduce_sum(&mut tensor)?.wait()?;
    Ok(Vec::try_from(&tensor).expect("is a vector"))
}

/// What passes untouched first: another step's second call, and this step's first.
fn up_to_the_second_call(group: &impl Collective) {
    for step in [4, 5] {
        group.begin_step(step);
        assert_eq!(sum(group), Ok(vec![2.0, 4.0]));
        if step == 4 {
            assert_eq!(start_and_wait(group), Ok(vec![2.0, 4.0]));
        }
    }
}

#[test]
fn an_error_stays_with_its_rank_and_the_peer_loses_it() {
    for last in [sum, start_and_wait] {
        let error = CollectiveError::Other { operation: "all_reduce", detail: "planned".to_owned() };
        let began = Instant::now();
        let [peer, faulty] = both(PATIENT, Mischief::Error(error.clone()), |group| {
            up_to_the_second_call(group);
            last(group)
        });
        assert_eq!(faulty, Err(error));
        assert!(matches!(peer, Err(CollectiveError::PeerLost { .. })), "{peer:?}");
        assert!(began.elapsed() < PATIENT / 2, "took {:?}", began.elapsed());
    }
}

#[test]
fn a_delay_beyond_the_time_out_times_the_peer_out() {
    let began = Instant::now();
    let [peer, faulty] = both(BRIEF, Mischief::Delay(2 * BRIEF), |group| {
        up_to_the_second_call(group);
        sum(group)
    });
    assert!(matches!(peer, Err(CollectiveError::TimedOut { .. })), "{peer:?}");
    assert!(faulty.is_err(), "{faulty:?}");
    assert!(began.elapsed() < 10 * BRIEF, "took {:?}", began.elapsed());
}

#[test]
fn a_nan_appears_on_its_rank_alone() {
    for last in [sum, start_and_wait] {
        let [peer, faulty] = both(PATIENT, Mischief::Nan, |group| {
            up_to_the_second_call(group);
            last(group)
        });
        assert_eq!(peer, Ok(vec![2.0, 4.0]));
        let faulty = faulty.expect("the call succeeds");
        assert!(faulty[0].is_nan() && faulty[1] == 4.0, "{faulty:?}");
    }
}

#[test]
fn a_nan_where_none_can_be_is_an_error() {
    let [_, faulty] = both(PATIENT, Mischief::Nan, |group| {
        up_to_the_second_call(group);
        group.barrier().map(|()| Vec::new())
    });
    assert!(faulty.is_err_and(|error| error.to_string().contains("can be a NaN")));
}

#[test]
fn a_hang_lasts_until_it_is_let_go() {
    for last in [sum, start_and_wait] {
        let (hold, end) = channel::<()>();
        let hold: Mutex<Option<Sender<()>>> = Mutex::new(Some(hold));
        let [peer, faulty] = both(BRIEF, Mischief::Hang(end), |group| {
            up_to_the_second_call(group);
            let outcome = last(group);
            // The peer gives up first, and lets go.
            assert_eq!(hold.lock().expect("is free").is_some(), group.rank() == 0, "the hang ended early");
            drop(hold.lock().expect("is free").take());
            outcome
        });
        assert!(matches!(peer, Err(CollectiveError::TimedOut { .. })), "{peer:?}");
        assert!(matches!(faulty, Err(CollectiveError::TimedOut { .. })), "{faulty:?}");
    }
}
