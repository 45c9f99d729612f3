//! Blurs and crops against values worked out by hand.

use lethe_model::Normalization;
use lethe_model::pixels::{box_blur, centre_crop, gaussian_blur, to_model_input};
use lethe_model::tch::Tensor;

use crate::reference::{assert_close, numbers};

/// One channel with a single 1 in its middle.
fn point(side: i64) -> Tensor {
    let mut values = vec![0.0_f32; (side * side) as usize];
    values[(side * side / 2) as usize] = 1.0;
    Tensor::from_slice(&values).view([1, 1, side, side])
}

#[test]
fn a_box_spreads_a_point_evenly() {
    let want: Vec<f32> =
        (0..25).map(|i| if (1..4).contains(&(i / 5)) && (1..4).contains(&(i % 5)) { 1.0 / 9.0 } else { 0.0 }).collect();
    let want = Tensor::from_slice(&want).view([1, 1, 5, 5]);
    assert_close("box", &box_blur(&point(5), 1).unwrap(), &want, 1e-7);
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
    for made in [box_blur(&even, 2), gaussian_blur(&even, 1.5), centre_crop(&even, 0.6)] {
        assert_close("even", &made.unwrap(), &even, 1e-6);
    }
}

#[test]
fn a_crop_enlarges_the_centre() {
    let values: Vec<f32> = (0..16).map(|i| if [5, 6, 9, 10].contains(&i) { 1.0 } else { -1.0 }).collect();
    let picture = Tensor::from_slice(&values).view([1, 1, 4, 4]);
    assert_eq!(numbers(&centre_crop(&picture, 0.5).unwrap()), [1.0; 16]);
    assert_close("whole", &centre_crop(&picture, 1.0).unwrap(), &picture, 1e-7);
}

#[test]
fn bad_parameters_are_named() {
    let picture = point(5);
    assert!(gaussian_blur(&picture, 0.0).unwrap_err().to_string().starts_with("sigma: 0 is outside of"));
    assert!(centre_crop(&picture, 1.5).unwrap_err().to_string().starts_with("share: 1.5 is outside of"));
    let message = to_model_input(&[0; 13], 2, &Normalization::default()).unwrap_err().to_string();
    assert_eq!(message, "the image buffer has shape [13], expected a multiple of 2 * 2 * 3 bytes");
}
