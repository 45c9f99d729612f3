//! AdamW against its formula in f64.

use lethe_model::tch::{Kind, Tensor};
use lethe_model::{AdamW, AdamWSettings, Clip};

use crate::reference::{numbers, tiny};

const SETTINGS: AdamWSettings = AdamWSettings { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.3 };
const RATES: [f64; 4] = [1e-3, 5e-3, 2e-3, 1e-2];

fn gradient(step: usize, count: i64) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * 0.37 + step as f64).sin() * 0.1) as f32).collect()
}

/// Decoupled weight decay Adam for one number over all steps.
fn formula(start: f64, decay: f64, gradient: impl Fn(usize) -> f64) -> f64 {
    let (mut p, mut m, mut v) = (start, 0.0, 0.0);
    for (step, rate) in RATES.iter().enumerate() {
        let (g, t) = (gradient(step), step as i32 + 1);
        p *= 1.0 - rate * decay;
        m = SETTINGS.beta1 * m + (1.0 - SETTINGS.beta1) * g;
        v = SETTINGS.beta2 * v + (1.0 - SETTINGS.beta2) * g * g;
        let (m_hat, v_hat) = (m / (1.0 - SETTINGS.beta1.powi(t)), v / (1.0 - SETTINGS.beta2.powi(t)));
        p -= rate * m_hat / (v_hat.sqrt() + SETTINGS.eps);
    }
    p
}

#[test]
fn four_steps_are_the_formula() {
    let mut clip = Clip::init(&tiny(), 1).unwrap();
    let (start, count) = (numbers(&clip.flat()), clip.parameter_count());
    let mut optimizer = AdamW::new(&clip, SETTINGS).unwrap();
    for (step, rate) in RATES.iter().enumerate() {
        optimizer.step(&mut clip, &Tensor::from_slice(&gradient(step, count)), *rate).unwrap();
    }
    assert_eq!(optimizer.steps(), 4);
    let have = numbers(&clip.flat());
    for i in 0..count as usize {
        let decay = if (i as i64) < clip.decayed_count() { SETTINGS.weight_decay } else { 0.0 };
        let want = formula(start[i], decay, |step| f64::from(gradient(step, count)[i]));
        assert!((have[i] - want).abs() < 1e-6, "number {i}: {} for {want}", have[i]);
    }
}

#[test]
fn a_rank_that_copies_moments_and_steps_goes_on_bit_for_bit() {
    let mut leader = Clip::init(&tiny(), 1).unwrap();
    let mut ahead = AdamW::new(&leader, SETTINGS).unwrap();
    let slope = Tensor::from_slice(&gradient(0, leader.parameter_count()));
    ahead.step(&mut leader, &slope, 1e-3).unwrap();

    let mut laggard = Clip::init(&tiny(), 2).unwrap();
    let mut behind = AdamW::new(&laggard, SETTINGS).unwrap();
    laggard.flat().copy_(&leader.flat());
    for (mut mine, theirs) in behind.moments().into_iter().zip(ahead.moments()) {
        mine.copy_(&theirs);
    }
    behind.set_steps(ahead.steps());
    ahead.step(&mut leader, &slope, 1e-3).unwrap();
    behind.step(&mut laggard, &slope, 1e-3).unwrap();
    assert_eq!(numbers(&leader.flat()), numbers(&laggard.flat()));
}

#[test]
fn the_logit_scale_stays_below_ln_100() {
    let mut clip = Clip::init(&tiny(), 1).unwrap();
    let mut optimizer = AdamW::new(&clip, SETTINGS).unwrap();
    let down = -Tensor::ones_like(&clip.flat());
    for _ in 0..3 {
        optimizer.step(&mut clip, &down, 1.0).unwrap();
    }
    assert!((clip.logit_scale().double_value(&[]) - 100.0_f64.ln()).abs() < 1e-6);
}

#[test]
fn a_gradient_of_another_model_is_refused() {
    let mut clip = Clip::init(&tiny(), 1).unwrap();
    let mut optimizer = AdamW::new(&clip, SETTINGS).unwrap();
    let message = optimizer.step(&mut clip, &Tensor::from_slice(&[1.0_f32]), 1e-3).unwrap_err().to_string();
    assert!(message.starts_with("the gradient has shape [1], expected ["), "{message}");
}

/// As ranks that share the optimiser's state do. The last numbers of a span are rounded otherwise than those that fill a
/// vector register, so that bits may differ at the ends.
#[test]
fn parts_give_the_weights_of_the_whole() {
    parts_match_the_whole(Kind::Float, 1e-6);
    parts_match_the_whole(Kind::Double, 1e-14);
}

fn parts_match_the_whole(kind: Kind, tolerance: f64) {
    let [mut whole, mut divided] = [1, 1].map(|seed| Clip::init(&tiny(), seed).unwrap().into_kind(kind).unwrap());
    let count = whole.parameter_count();
    let ends = [0, 7, count / 3, whole.decayed_count() + 3, count];
    let mut parts: Vec<AdamW> =
        ends.windows(2).map(|ends| AdamW::over(&divided, SETTINGS, ends[0]..ends[1]).unwrap()).collect();
    let mut optimizer = AdamW::new(&whole, SETTINGS).unwrap();
    for (step, rate) in RATES.iter().enumerate() {
        let slope = Tensor::from_slice(&gradient(step, count)).to_kind(kind);
        optimizer.step(&mut whole, &slope, *rate).unwrap();
        parts.iter_mut().for_each(|part| part.step(&mut divided, &slope, *rate).unwrap());
    }
    let furthest = (whole.flat() - divided.flat()).abs().max().double_value(&[]);
    assert!(furthest <= tolerance, "{kind:?}: a weight lies {furthest:e} off");
}

#[test]
fn a_gradient_of_another_kind_is_an_error_and_not_an_exception() {
    let mut clip = Clip::init(&tiny(), 1).unwrap();
    let mut optimizer = AdamW::new(&clip, SETTINGS).unwrap();
    let slope = clip.flat().zeros_like().to_kind(Kind::Double);
    let message = optimizer.step(&mut clip, &slope, 1e-3).unwrap_err().to_string();
    assert!(message.contains("expected scalar type Float but found Double"), "{message}");
}
