//! Losses against their formulas in f64, and their gradients against finite differences.

use lethe_model::gradients::{leaf, leaf_gradients};
use lethe_model::loss::{
    contrastive, contrastive_part, drift, forget, normalize, perturbation_part, pull, self_supervised_part, similarity,
};
use lethe_model::tch::{Kind, Tensor};

use crate::reference::{assert_close, numbers};

/// Features `[rows, 3]` f64 without any pattern that a wrong formula could hide behind.
fn features(rows: i64, phase: f64) -> Tensor {
    let values: Vec<f64> = (0..rows * 3).map(|i| (1.7 * i as f64 + phase).sin() + 0.1 * i as f64).collect();
    Tensor::from_slice(&values).view([rows, 3])
}

fn unit_rows(features: &Tensor) -> Vec<Vec<f64>> {
    let rows = numbers(features);
    let unit = |row: &[f64]| {
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter().map(|x| x / norm).collect()
    };
    rows.chunks(3).map(unit).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Minus the log of the softmax at the own caption, averaged over rows and columns.
fn contrastive_formula(image: &Tensor, text: &Tensor, logit_scale: f64) -> f64 {
    let (f, g) = (unit_rows(image), unit_rows(text));
    let logit = |i: usize, j: usize| logit_scale.exp() * cosine(&f[i], &g[j]);
    let n = f.len();
    let mut total = 0.0;
    for i in 0..n {
        let row: f64 = (0..n).map(|j| logit(i, j).exp()).sum();
        let column: f64 = (0..n).map(|j| logit(j, i).exp()).sum();
        total += row.ln() + column.ln() - 2.0 * logit(i, i);
    }
    total / (2 * n) as f64
}

#[test]
fn contrastive_is_the_formula() {
    let (image, text) = (features(5, 0.3), features(5, 2.0));
    let have = contrastive(&image, &text, &Tensor::from(1.5_f64)).unwrap().double_value(&[]);
    assert!((have - contrastive_formula(&image, &text, 1.5)).abs() < 1e-12);
}

#[test]
fn contrastive_gradients_equal_finite_differences() {
    let (image, text) = (leaf(&features(4, 0.3)).unwrap(), leaf(&features(4, 2.0)).unwrap());
    let scale = leaf(&Tensor::from(1.5_f64)).unwrap();
    let loss = contrastive(&image, &text, &scale).unwrap();
    let slopes = leaf_gradients(&loss, &[&image, &text, &scale]).unwrap();
    let h = 1e-5;
    let numeric = |of: &dyn Fn(f64) -> f64| (of(h) - of(-h)) / (2.0 * h);
    for i in 0..12 {
        let nudge = |x: &Tensor, by: f64| {
            let mut values = numbers(x);
            values[i] += by;
            Tensor::from_slice(&values).view([4, 3])
        };
        let by_image = numeric(&|by| contrastive_formula(&nudge(&image, by), &text, 1.5));
        let by_text = numeric(&|by| contrastive_formula(&image, &nudge(&text, by), 1.5));
        assert!((numbers(&slopes[0])[i] - by_image).abs() < 1e-8);
        assert!((numbers(&slopes[1])[i] - by_text).abs() < 1e-8);
    }
    let by_scale = numeric(&|by| contrastive_formula(&image, &text, 1.5 + by));
    assert!((slopes[2].double_value(&[]) - by_scale).abs() < 1e-8);
}

#[test]
fn parts_of_the_rows_add_up_to_the_whole() {
    let (image, text, scale) = (features(7, 0.3), features(7, 2.0), Tensor::from(1.5_f64));
    let whole = contrastive(&image, &text, &scale).unwrap().double_value(&[]);
    let part = |rows| contrastive_part(&image, &text, rows, &scale).unwrap().double_value(&[]);
    let sum: f64 = [0..2, 2..2, 2..6, 6..7].into_iter().map(part).sum();
    assert!((sum - whole).abs() < 1e-12 * whole, "{sum} is not {whole}");
    let apart = |first: i64, count: i64| {
        drift(&image.narrow(0, first, count), &text.narrow(0, first, count), 7).unwrap().double_value(&[])
    };
    let drifted = drift(&image, &text, 7).unwrap().double_value(&[]);
    assert!((apart(0, 3) + apart(3, 4) - drifted).abs() < 1e-12);
}

#[test]
fn similarity_pull_forget_and_drift_are_their_formulas() {
    let (image, text) = (features(4, 0.3), features(4, 2.0));
    let (f, g) = (unit_rows(&image), unit_rows(&text));
    let s: Vec<f64> = f.iter().zip(&g).map(|(a, b)| cosine(a, b)).collect();
    let have = similarity(&image, &text).unwrap();
    assert_close("similarity", &have, &Tensor::from_slice(&s), 1e-12);
    let mean = |of: &dyn Fn(f64) -> f64| s.iter().map(|s| of(*s)).sum::<f64>() / 4.0;
    let close = |loss: Tensor, want: f64| assert!((loss.double_value(&[]) - want).abs() < 1e-12);
    close(pull(&have, 4).unwrap(), mean(&|s| (s - 1.0).powi(2)));
    close(forget(&have, 0.0, 4).unwrap(), mean(&|s| s * s));
    close(forget(&have, 1.0, 4).unwrap(), mean(&|s| (s + 1.0).powi(2)));
    // For unit vectors |f - g|^2 = 2 - 2 cos.
    close(drift(&image, &text, 4).unwrap(), mean(&|s| 2.0 - 2.0 * s));
}

#[test]
fn self_supervision_is_its_formula_and_its_parts_add_up() {
    let (features, views, scale) = (features(5, 0.3), features(5, 2.0), Tensor::from(1.5_f64));
    let (f, v) = (unit_rows(&features), unit_rows(&views));
    let logit = |i: usize, j: usize| 1.5_f64.exp() * cosine(&f[i], &v[j]);
    let row = |i: usize| (0..5).map(|j| logit(i, j).exp()).sum::<f64>().ln() - logit(i, i);
    let want = (0..5).map(row).sum::<f64>() / 5.0;
    let part = |rows| self_supervised_part(&features, &views, rows, &scale).unwrap().double_value(&[]);
    assert!((part(0..5) - want).abs() < 1e-12, "{} is not {want}", part(0..5));
    assert!((part(0..2) + part(2..2) + part(2..5) - want).abs() < 1e-12);
}

/// Two rows by hand: one has not moved, one stands at a right angle, so that S = (0 + 2) / 2.
#[test]
fn a_perturbation_counts_up_to_its_limit() {
    let frozen = Tensor::from_slice(&[3.0_f64, 0.0, 0.0, 2.0]).view([2, 2]);
    let moved = leaf(&Tensor::from_slice(&[1.0_f64, 0.0, 5.0, 0.0]).view([2, 2])).unwrap();
    let part = |rows, limit| perturbation_part(&moved, &frozen, rows, limit).unwrap();
    let value = |rows, limit| part(rows, limit).double_value(&[]);
    assert_eq!([value(0..2, 2.15), value(0..1, 2.15), value(1..2, 2.15)], [1.0, 0.0, 1.0]);
    assert_eq!([value(0..2, 1.0), value(0..2, 0.99), value(1..2, 0.99)], [1.0, 0.0, 0.0], "the batch decides");
    // d/df of (2 - 2 f.p / |f|) / 2 at f = (5, 0), p = (0, 1) is (0, -1/5).
    let slope = |limit| numbers(&leaf_gradients(&part(0..2, limit), &[&moved]).unwrap()[0]);
    assert!(slope(2.15).iter().zip([0.0, 0.0, 0.0, -0.2]).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", slope(2.15));
    assert_eq!(slope(0.5), [0.0; 4], "nothing pushes beyond the limit");
}

#[test]
fn a_zero_row_stays_zero() {
    let unit = normalize(&Tensor::zeros([1, 3], (Kind::Float, lethe_model::tch::Device::Cpu))).unwrap();
    assert_eq!(numbers(&unit), [0.0; 3]);
}

#[test]
fn features_of_different_shapes_are_refused() {
    let message = similarity(&features(4, 0.0), &features(5, 0.0)).unwrap_err().to_string();
    assert_eq!(message, "features has shape [5, 3], expected [B, D] like [4, 3]");
}
