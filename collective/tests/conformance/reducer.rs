//! Gradients that are summed while backward runs.

use lethe_collective::{Broken, Collective, CollectiveError, Reducer};
use tch::{TchError, Tensor};

use crate::wiring::{PATIENT, Wiring, on_every_rank, tensor, values};

/// Three leaves of different shapes, as a model's parameters are.
struct Model {
    leaves: [Tensor; 3],
}

impl Model {
    fn new(group: &impl Collective) -> Self {
        let leaf = |values: &[f32]| tensor(group, values).set_requires_grad(true);
        Self {
            leaves: [leaf(&[1.0, 2.0]).view([2, 1]).detach().set_requires_grad(true), leaf(&[3.0]), leaf(&[4.0; 3])],
        }
    }

    fn leaves(&self) -> Vec<&Tensor> {
        self.leaves.iter().collect()
    }

    /// Backward of scale * sum(leaf), whose gradient is the scale.
    fn back(&self, leaf: usize, scale: f64) -> Result<(), TchError> {
        let loss = self.leaves[leaf].f_sum(tch::Kind::Float)?.f_mul_scalar(scale)?;
        Tensor::f_run_backward(&[loss], &[&self.leaves[leaf]], false, false).map(drop)
    }
}

/// Every leaf is a bucket.
const SMALL: usize = 1;

pub fn a_reducers_sum_is_that_of_all_ranks_and_zero_where_none_came<W: Wiring>() {
    for bucket_bytes in [SMALL, 8, 1 << 20] {
        on_every_rank::<W, _>(3, PATIENT, |group| {
            let model = Model::new(&group);
            let mut reducer = Reducer::new(&model.leaves(), bucket_bytes).expect("watches");
            let own = f64::from(group.rank() + 1);
            for (leaf, want) in [(2, [0.0, 0.0, 0.0, 6.0, 6.0, 6.0]), (0, [6.0, 6.0, 0.0, 0.0, 0.0, 0.0])] {
                let sum = reducer.sum(&group, || model.back(leaf, own)).expect("sums");
                assert_eq!(values(&sum), want, "nothing of the step before is left");
            }
            let sum = reducer.sum(&group, || Ok::<(), TchError>(())).expect("sums");
            assert_eq!(values(&sum), [0.0; 6]);
        });
    }
}

/// Ranks whose backwards end in another order sum the same buckets all the same.
pub fn ranks_that_find_gradients_in_another_order_agree<W: Wiring>() {
    on_every_rank::<W, _>(2, PATIENT, |group| {
        let model = Model::new(&group);
        let mut reducer = Reducer::new(&model.leaves(), SMALL).expect("watches");
        let order = if group.rank() == 0 { [0, 1, 2] } else { [2, 0, 1] };
        for _ in 0..3 {
            let all = || order.iter().try_for_each(|leaf| model.back(*leaf, (leaf + 1) as f64));
            let sum = reducer.sum(&group, all).expect("sums");
            assert_eq!(values(&sum), [2.0, 2.0, 4.0, 6.0, 6.0, 6.0]);
        }
    });
}

pub fn what_backward_found_is_on_the_wire_while_it_goes_on<W: Wiring>() {
    on_every_rank::<W, _>(2, PATIENT, |group| {
        let model = Model::new(&group);
        let mut reducer = Reducer::new(&model.leaves(), SMALL).expect("watches");
        let started = || group.traffic().all_reduce.calls;
        for (step, during) in [(1, 0), (2, 1), (3, 1)] {
            let before = started();
            let sum = reducer.sum(&group, || {
                model.back(2, 1.0)?;
                // The first step shows the order, so nothing can be started in it.
                assert_eq!(started() - before, during, "step {step}");
                model.back(0, 1.0)?;
                model.back(1, 1.0)
            });
            assert_eq!(values(&sum.expect("sums")), [2.0; 6]);
            assert_eq!(started() - before, 3);
        }
    });
}

pub fn pieces_are_added_before_they_are_summed<W: Wiring>() {
    on_every_rank::<W, _>(2, PATIENT, |group| {
        let model = Model::new(&group);
        let mut reducer = Reducer::new(&model.leaves(), SMALL).expect("watches");
        for _ in 0..2 {
            let calls = group.traffic().all_reduce.calls;
            reducer.add(|| model.back(0, 1.0)).expect("adds");
            reducer.add(|| model.back(1, 10.0)).expect("adds");
            assert_eq!(group.traffic().all_reduce.calls, calls, "a piece was summed alone");
            let sum = reducer.sum(&group, || model.back(0, 2.0)).expect("sums");
            assert_eq!(values(&sum), [6.0, 6.0, 20.0, 0.0, 0.0, 0.0]);
        }
    });
}

pub fn a_backward_that_fails_is_told_as_it_failed<W: Wiring>() {
    on_every_rank::<W, _>(1, PATIENT, |group| {
        let model = Model::new(&group);
        let mut reducer = Reducer::new(&model.leaves(), SMALL).expect("watches");
        let outcome = reducer.sum(&group, || Err("out of luck"));
        assert!(matches!(outcome, Err(Broken::Backward("out of luck"))), "{outcome:?}");
    });
}

pub fn a_peer_lost_in_backward_fails_it_and_leaves_no_hook<W: Wiring>() {
    on_every_rank::<W, _>(2, PATIENT, |group| {
        let model = Model::new(&group);
        let mut reducer = Reducer::new(&model.leaves(), SMALL).expect("watches");
        let all = || (0..3).try_for_each(|leaf| model.back(leaf, 1.0));
        drop(reducer.sum(&group, all).expect("shows the order"));
        if group.rank() == 1 {
            return;
        }
        let outcome = reducer.sum(&group, all);
        let lost = matches!(&outcome, Err(Broken::Collective(CollectiveError::PeerLost { .. })));
        assert!(lost, "{outcome:?}");
        drop(group);
        drop(reducer);
        let mut again = Reducer::new(&model.leaves(), SMALL).expect("watches");
        again.add(all).expect("no hook of the first is left");
    });
}

pub fn a_leaf_that_is_reached_twice_is_refused<W: Wiring>() {
    on_every_rank::<W, _>(1, PATIENT, |group| {
        let model = Model::new(&group);
        let mut reducer = Reducer::new(&model.leaves(), SMALL).expect("watches");
        let outcome = reducer.sum(&group, || model.back(0, 1.0).and_then(|()| model.back(0, 1.0)));
        assert!(matches!(&outcome, Err(Broken::Collective(CollectiveError::Other { .. }))), "{outcome:?}");
    });
}
