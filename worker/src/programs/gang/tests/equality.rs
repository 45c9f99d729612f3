//! Gradients of many ranks, uneven shares and pieces against one process.

use lethe_collective::Reducer;
use lethe_common::spec::Precision;
use lethe_model::gradients::gradients;
use lethe_model::loss::contrastive;
use lethe_model::tch::{Kind, Tensor};

use super::bench::{Material, OBJECTIVES, SAFE_BATCH, ranks};
use crate::programs::gang::exchange::Exchange;
use crate::programs::gang::objective::{Batch, Share};

/// Relative to the largest number of the gradient. Only the order of sums differs.
const TOLERANCE: f64 = 1e-9;
const STEP: u64 = 2;

/// The loss and the flat gradient that every rank ends with; they must all be the same.
fn computed(objective: &str, world_size: u32, pieces: usize) -> (f64, Vec<f64>) {
    let mut all = ranks(world_size, |seat| {
        let mut material = Material::new();
        let objective = material.objective(objective);
        let clip = material.moved();
        // Every parameter is a bucket of its own.
        let mut reducer = Reducer::new(&clip.leaves(), 0).expect("watches");
        let group = seat.connect().expect("the group forms");
        let exchange = Exchange {
            clip: &clip,
            objective: &*objective,
            step: STEP,
            pieces,
            precision: Precision::F64,
            group: &group,
        };
        let reduced = exchange.gradient(&mut reducer).expect("computes");
        (f64::from(reduced.loss), Vec::<f64>::try_from(&reduced.gradient).expect("is a vector"))
    });
    let first = all.swap_remove(0);
    assert!(all.iter().all(|other| other.1 == first.1), "the ranks of {world_size} do not agree in every bit");
    first
}

fn furthest(have: &[f64], want: &[f64]) -> f64 {
    assert_eq!(have.len(), want.len());
    let largest = want.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    assert!(largest > 0.0, "the gradient is zero");
    have.iter().zip(want).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max)
}

#[test]
fn any_number_of_ranks_gives_the_gradient_of_one() {
    for objective in OBJECTIVES {
        let (loss, whole) = computed(objective, 1, 1);
        for world_size in [2, 3, 4] {
            let (other_loss, gradient) = computed(objective, world_size, 1);
            let far = furthest(&gradient, &whole);
            assert!(far <= TOLERANCE, "{objective} on {world_size} ranks: {far:e}");
            assert!((other_loss - loss).abs() <= 1e-6 * loss.abs(), "{objective}: loss {other_loss}, not {loss}");
        }
    }
}

#[test]
fn pieces_give_the_gradient_of_the_whole() {
    for objective in OBJECTIVES {
        let (_, whole) = computed(objective, 1, 1);
        for (world_size, pieces) in [(1, 4), (2, 3), (3, 2), (4, 2)] {
            let far = furthest(&computed(objective, world_size, pieces).1, &whole);
            assert!(far <= TOLERANCE, "{objective} on {world_size} ranks in {pieces} pieces: {far:e}");
        }
    }
}

/// Not our exchange against itself: autograd through the whole batch in one graph.
#[test]
fn three_ranks_give_the_gradient_of_one_graph() {
    for objective in OBJECTIVES {
        let mut material = Material::new();
        let (clip, of) = (material.moved(), material.objective(objective));
        let share = Share::whole(0, 1);
        let features = of.features(&clip, STEP, share).expect("features");
        let matrices: Vec<Tensor> = features.iter().map(|matrix| matrix.local.shallow_clone()).collect();
        let scale = match of.trains_logit_scale() {
            true => clip.logit_scale().shallow_clone(),
            false => clip.logit_scale().detach(),
        };
        let loss = of.loss(STEP, &Batch { share, matrices: &matrices, features: &features }, &scale).expect("a loss");
        let want: Tensor = gradients(&loss, &clip).expect("gradients");
        let want = Vec::<f64>::try_from(&want).expect("is a vector");
        let far = furthest(&computed(objective, 3, 2).1, &want);
        assert!(far <= TOLERANCE, "{objective}: {far:e}");
    }
}

/// L_clip alone, from the features, beside the objectives that add to it.
#[test]
fn what_peers_add_to_the_loss_is_their_papers_formula() {
    let clip = Material::new().moved();
    let scale = clip.logit_scale().detach();
    for (name, weight) in [("clean-clip", 0.8), ("par", 0.6)] {
        let of = Material::new().objective(name);
        let features = of.features(&clip, STEP, Share::whole(0, 1)).expect("features");
        let matrices: Vec<Tensor> = features.iter().map(|matrix| matrix.local.detach()).collect();
        let batch = Batch { share: Share::whole(0, 1), matrices: &matrices, features: &features };
        let have = of.loss(STEP, &batch, &scale).expect("a loss").double_value(&[]);
        let unit = |at: usize| {
            let norms = matrices[at].square().sum_dim_intlist([1].as_slice(), true, Kind::Double).sqrt();
            &matrices[at] / norms
        };
        let keep = contrastive(&matrices[0], &matrices[1], &scale).expect("a loss").double_value(&[]);
        let added: f64 =
            [(0, 2), (1, 3)].into_iter().map(|(own, other)| added(name, &unit(own), &unit(other), &scale)).sum();
        assert!((have - keep - weight * added).abs() < 1e-12 && added.abs() > 1e-4, "{name}: {have}, {keep}, {added}");
    }
}

/// What one tower adds, from unit vectors: half the cross entropy of matching views, or less the mean squared distance.
fn added(name: &str, own: &Tensor, other: &Tensor, scale: &Tensor) -> f64 {
    match name {
        "clean-clip" => {
            let chosen = (own.matmul(&other.tr()) * scale.exp()).log_softmax(1, Kind::Double);
            -0.5 * chosen.diagonal(0, 0, 1).mean(Kind::Double).double_value(&[])
        }
        _ => -(own - other).square().sum(Kind::Double).double_value(&[]) / SAFE_BATCH as f64,
    }
}
