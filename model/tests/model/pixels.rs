//! Blurs and thumbnails against values worked out by hand.

use lethe_model::Normalization;
use lethe_model::pixels::{coarse_with_fine, gaussian_blur, halves, thumbnail, to_model_input};
use lethe_model::tch::Tensor;

use crate::reference::{assert_close, numbers};

/// One channel with a single 1 in its middle.
fn point(side: i64) -> Tensor {
    let mut values = vec![0.0_f32; (side * side) as usize];
    values[(side * side / 2) as usize] = 1.0;
    Tensor::from_slice(&values).view([1, 1, side, side])
}

#[test]
fn a_gaussian_spreads_a_point_as_the_bell() {
    let blurred = numbers(&gaussian_blur(&point(9), 1.0).unwrap());
    assert!((blurred.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    let ratio = blurred[4 * 9 + 5] / blurred[4 * 9 + 4];
    assert!((ratio - (-0.5_f64).exp()).abs() < 1e-6);
    assert!((blurred[5 * 9 + 4] - blurred[4 * 9 + 5]).abs() < 1e-7);
}

#[test]
fn even_pictures_stay_as_they_are_up_to_the_edge() {
    let even = Tensor::full([2, 3, 6, 6], 0.25, (lethe_model::tch::Kind::Float, lethe_model::tch::Device::Cpu));
    assert_close("even", &gaussian_blur(&even, 1.5).unwrap(), &even, 1e-6);
}

#[test]
fn a_thumbnail_has_the_means_of_its_cells() {
    let picture = Tensor::arange(32, (lethe_model::tch::Kind::Float, lethe_model::tch::Device::Cpu)).view([1, 2, 4, 4]);
    assert_eq!(numbers(&thumbnail(&picture, 2).unwrap()), [2.5, 4.5, 10.5, 12.5, 18.5, 20.5, 26.5, 28.5]);
    // A side that is no multiple: cells share pixels.
    let row = Tensor::from_slice(&[0.0_f32, 3.0, 6.0, 0.0, 3.0, 6.0, 0.0, 3.0, 6.0]).view([1, 1, 3, 3]);
    assert_eq!(numbers(&thumbnail(&row, 2).unwrap()), [1.5, 4.5, 1.5, 4.5]);
}

#[test]
fn halves_come_from_either_picture() {
    let picture = |value: f32| Tensor::from_slice(&[value; 4]).view([1, 1, 2, 2]);
    let made = numbers(&halves(&picture(1.0), &picture(0.0)).unwrap());
    let want = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]];
    assert_eq!(made, want.concat());
}

#[test]
fn a_picture_has_what_is_coarse_in_one_and_fine_in_the_other() {
    let even = Tensor::full([1, 1, 9, 9], 0.5, (lethe_model::tch::Kind::Float, lethe_model::tch::Device::Cpu));
    let point = point(9);
    let fine = coarse_with_fine(&even, &point, 1.0).unwrap();
    assert_close("fine", &fine, &(&point - gaussian_blur(&point, 1.0).unwrap() + 0.5), 1e-6);
    let coarse = coarse_with_fine(&point, &even, 1.0).unwrap();
    assert_close("coarse", &coarse, &gaussian_blur(&point, 1.0).unwrap(), 1e-6);
}

#[test]
fn bad_parameters_are_named() {
    let picture = point(5);
    assert!(gaussian_blur(&picture, 0.0).unwrap_err().to_string().starts_with("sigma: 0 is outside of"));
    let message = to_model_input(&[0; 13], 2, &Normalization::default()).unwrap_err().to_string();
    assert_eq!(message, "the image buffer has shape [13], expected a multiple of 2 * 2 * 3 bytes");
}
