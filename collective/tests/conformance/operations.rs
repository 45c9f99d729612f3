//! What the operations compute, and what they refuse.

use std::sync::atomic::{AtomicU32, Ordering};

use lethe_collective::{Collective, CollectiveError, require_same_layout};
use tch::{Kind, Tensor};

use crate::wiring::{PATIENT, Wiring, on_every_rank, sum_of_ranks, tensor, values};

pub fn all_reduce_gives_every_rank_the_sum<W: Wiring>() {
    for world_size in [1, 2, 3, 4] {
        let sums = on_every_rank::<W, _>(world_size, PATIENT, |group| sum_of_ranks(&group));
        let expected = vec![(0..world_size).sum::<u32>() as f32, world_size as f32];
        assert_eq!(sums, vec![Ok(expected); world_size as usize]);
    }
}

pub fn all_reduce_changes_a_gradient_in_place<W: Wiring>() {
    let gradients = on_every_rank::<W, _>(2, PATIENT, |group| {
        let weight = tensor(&group, &[3.0]).set_requires_grad(true);
        (&weight * &weight * f64::from(group.rank() + 1)).sum(Kind::Float).backward();
        group.all_reduce_sum(&mut weight.grad()).expect("sums");
        values(&weight.grad())
    });
    // d(w²)/dw = 6 on rank 0, twice that on rank 1.
    assert_eq!(gradients, [[18.0], [18.0]]);
}

pub fn broadcast_gives_the_roots_values<W: Wiring>() {
    let received = on_every_rank::<W, _>(3, PATIENT, |group| {
        let mut tensor = Tensor::full([2], i64::from(group.rank()), (Kind::Int64, group.device()));
        group.broadcast(&mut tensor, 2).expect("broadcasts");
        // Nothing in a broadcast waits for a rank that is not its root: who left now would cut off one that still connects.
        group.barrier().expect("passes");
        [tensor.int64_value(&[0]), tensor.int64_value(&[1])]
    });
    assert_eq!(received, [[2, 2], [2, 2], [2, 2]]);
}

pub fn all_gather_keeps_the_order_of_ranks<W: Wiring>() {
    let gathered = on_every_rank::<W, _>(4, PATIENT, |group| {
        let mine = tensor(&group, &[group.rank() as f32]);
        group.all_gather(&mine).expect("gathers").iter().flat_map(values).collect::<Vec<f32>>()
    });
    assert_eq!(gathered, vec![vec![0.0, 1.0, 2.0, 3.0]; 4]);
}

pub fn a_barrier_waits_for_the_last<W: Wiring>() {
    let arrived = AtomicU32::new(0);
    let seen = on_every_rank::<W, _>(3, PATIENT, |group| {
        arrived.fetch_add(1, Ordering::SeqCst);
        group.barrier().expect("passes");
        arrived.load(Ordering::SeqCst)
    });
    assert_eq!(seen, [3, 3, 3]);
}

pub fn a_world_of_one_does_everything<W: Wiring>() {
    on_every_rank::<W, _>(1, PATIENT, |group| {
        assert_eq!((group.rank(), group.world_size()), (0, 1));
        let mut mine = tensor(&group, &[5.0, 7.0]);
        group.all_reduce_sum(&mut mine).expect("sums");
        group.start_all_reduce_sum(&mut mine).expect("starts").wait().expect("ends");
        group.broadcast(&mut mine, 0).expect("broadcasts");
        let gathered = group.all_gather(&mine).expect("gathers");
        group.barrier().expect("passes");
        assert_eq!(gathered.iter().map(values).collect::<Vec<_>>(), [[5.0, 7.0]]);
    });
}

pub fn what_c10d_cannot_take_is_refused_by_name<W: Wiring>() {
    on_every_rank::<W, _>(1, PATIENT, |group| {
        let device = group.device();
        let transposed = Tensor::zeros([2, 3], (Kind::Float, device)).transpose(0, 1);
        refused(group.all_gather(&transposed).map(drop), "all_gather", "[3, 2]");
        let mut whole = Tensor::zeros([2], (Kind::Float, device));
        refused(group.broadcast(&mut whole, 1), "broadcast", "root 1");
        for kind in [Kind::Bool, Kind::Int16, Kind::ComplexFloat] {
            let mut odd = Tensor::zeros([2], (kind, device));
            let name = format!("{kind:?}");
            refused(group.all_reduce_sum(&mut odd), "all_reduce", &name);
            refused(group.start_all_reduce_sum(&mut odd).map(drop), "all_reduce", &name);
            refused(group.broadcast(&mut odd, 0), "broadcast", &name);
            refused(group.all_gather(&odd).map(drop), "all_gather", &name);
        }
        assert_eq!(sum_of_ranks(&group), Ok(vec![0.0, 1.0]), "a refusal leaves the group usable");
    });
}

fn refused(outcome: Result<(), CollectiveError>, by: &str, names: &str) {
    match outcome {
        Err(CollectiveError::Other { operation, detail }) => {
            assert!(operation == by && detail.contains(names), "{operation}: {detail}");
        }
        other => panic!("{by} took what it cannot take ({names}): {other:?}"),
    }
}

pub fn ranks_with_the_same_tensors_agree<W: Wiring>() {
    let agreed = on_every_rank::<W, _>(3, PATIENT, |group| {
        let (a, b) = (tensor(&group, &[1.0; 3]), tensor(&group, &[f32::from(group.rank() as u8)]));
        require_same_layout(&group, &[("weight", &a), ("bias", &b)])
    });
    assert_eq!(agreed, vec![Ok(()); 3]);
}

pub fn uneven_tensors_are_refused_by_name_on_every_rank<W: Wiring>() {
    let outcomes = on_every_rank::<W, _>(3, PATIENT, |group| {
        let weight = tensor(&group, &[1.0; 4]);
        let kind = if group.rank() == 1 { Kind::Double } else { Kind::Float };
        let bias = Tensor::zeros([2], (kind, group.device()));
        let outcome = require_same_layout(&group, &[("weight", &weight), ("bias", &bias)]);
        assert_eq!(sum_of_ranks(&group), Ok(vec![3.0, 3.0]), "a refusal leaves the group usable");
        outcome
    });
    for outcome in &outcomes {
        assert_eq!(outcome, &outcomes[0]);
        let words = outcome.as_ref().expect_err("rank 1 differs").to_string();
        assert!(words.contains(r#"tensor 1 is "bias" Double [2] on rank 1 and "bias" Float [2] on rank 0"#), "{words}");
    }
}
