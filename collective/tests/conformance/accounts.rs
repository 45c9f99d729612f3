//! What a group says about itself: traffic, and the call under way.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use lethe_collective::{Call, Collective, Ledger, Operation, Traffic};
use tch::{Kind, Tensor};

use crate::wiring::{PATIENT, Wiring, on_every_rank, sum_of_ranks, tensor};

pub fn counters_equal_the_bytes_that_were_given<W: Wiring>() {
    let accounts = on_every_rank::<W, _>(2, PATIENT, |group| {
        group.all_reduce_sum(&mut tensor(&group, &[1.0; 3])).expect("sums");
        let mut wide = Tensor::zeros([5, 2], (Kind::Double, group.device()));
        group.start_all_reduce_sum(&mut wide).expect("starts").wait().expect("ends");
        group.broadcast(&mut Tensor::zeros([7], (Kind::BFloat16, group.device())), 1).expect("broadcasts");
        group.all_gather(&Tensor::zeros([3], (Kind::Int64, group.device()))).expect("gathers");
        group.barrier().expect("passes");
        group.traffic()
    });
    for traffic in accounts {
        let counted = |operation| (traffic.of(operation).calls, traffic.of(operation).payload_bytes);
        assert_eq!(counted(Operation::AllReduce), (2, 3 * 4 + 10 * 8));
        assert_eq!(counted(Operation::Broadcast), (1, 7 * 2));
        assert_eq!(counted(Operation::AllGather), (1, 3 * 8));
        assert_eq!(counted(Operation::Barrier), (1, 0));
        for waited in [traffic.all_reduce, traffic.broadcast, traffic.all_gather, traffic.barrier].map(|t| t.waited) {
            assert!(waited > Duration::ZERO && waited < PATIENT, "{traffic:?}");
        }
    }
}

pub fn what_was_refused_is_not_counted<W: Wiring>() {
    on_every_rank::<W, _>(1, PATIENT, |group| {
        let mut odd = Tensor::zeros([2], (Kind::Bool, group.device()));
        group.all_reduce_sum(&mut odd).expect_err("Bool is refused");
        group.broadcast(&mut odd, 3).expect_err("there is no rank 3");
        assert_eq!((group.traffic(), group.ledger().last_call()), (Traffic::default(), None));
    });
}

pub fn another_thread_reads_the_call_under_way<W: Wiring>() {
    let (give, take) = channel::<Arc<Ledger>>();
    let (give, take) = (Mutex::new(give), Mutex::new(take));
    on_every_rank::<W, _>(2, PATIENT, |group| {
        sum_of_ranks(&group).expect("sums");
        group.begin_step(9);
        sum_of_ranks(&group).expect("sums");
        if group.rank() == 0 {
            give.lock().expect("is free").send(group.ledger()).expect("rank 1 listens");
        } else {
            // Rank 0 waits in its second call of step 9, for this rank, which is behind.
            let other = take.lock().expect("is free").recv_timeout(PATIENT).expect("rank 0 gives its ledger");
            let seen = wait_for_call(&other);
            assert_eq!(seen, Call { step: 9, number: 2, operation: Operation::Barrier });
            assert!(group.ledger().last_call() < Some(seen), "the rank that holds up the others is behind");
        }
        group.barrier().expect("passes");
        assert_eq!(group.ledger().waiting(), None);
    });
}

fn wait_for_call(ledger: &Ledger) -> Call {
    let deadline = Instant::now() + PATIENT;
    while Instant::now() < deadline {
        if let Some(waiting) = ledger.waiting() {
            return waiting.call;
        }
        std::thread::yield_now();
    }
    panic!("rank 0 did not show its call: {ledger:?}");
}
