//! AutoAugment's operations, noise and erased squares against values worked out by hand, with PIL's meaning.

use lethe_model::augment::{Operation, Square, apply, erased, noisy};
use lethe_model::tch::{Device, Kind, Tensor};

use crate::reference::numbers;

/// A picture of these greys, `[1, S, S, 3]` bytes.
fn greys(values: &[u8]) -> Tensor {
    let side = (values.len() as f64).sqrt() as i64;
    Tensor::from_slice(values).view([1, side, side, 1]).repeat([1, 1, 1, 3])
}

/// One channel after an operation.
fn after(values: &[u8], operation: Operation) -> Vec<f64> {
    let made = apply(&greys(values), &[vec![operation]]).unwrap();
    assert_eq!(made.kind(), Kind::Uint8);
    let channel = |c: i64| numbers(&made.select(3, c));
    assert_eq!(channel(0), channel(2), "a grey picture stays grey");
    channel(0)
}

#[test]
fn values_change_as_in_pil() {
    let picture = [0, 64, 128, 255];
    assert_eq!(after(&picture, Operation::Invert), [255.0, 191.0, 127.0, 0.0]);
    assert_eq!(after(&[7, 64, 200, 255], Operation::Posterize(2)), [0.0, 64.0, 192.0, 192.0]);
    assert_eq!(after(&picture, Operation::Solarize(128.0)), [0.0, 64.0, 127.0, 0.0]);
    assert_eq!(after(&[10, 20, 30, 60], Operation::AutoContrast), [0.0, 51.0, 102.0, 255.0]);
    assert_eq!(after(&[9; 4], Operation::AutoContrast), [9.0; 4], "an even picture stays");
    // The mean, 111.75, becomes 112; halfway to it.
    assert_eq!(after(&picture, Operation::Contrast(0.5)), [56.0, 88.0, 120.0, 183.0]);
    assert_eq!(after(&picture, Operation::Contrast(1.5)), [0.0, 40.0, 136.0, 255.0]);
    for operation in [Operation::Color(0.1), Operation::Contrast(1.0), Operation::Rotate(0.0), Operation::ShearX(0.0)] {
        assert_eq!(after(&picture, operation), [0.0, 64.0, 128.0, 255.0], "{operation:?}");
    }
}

#[test]
fn a_colour_fades_to_its_grey() {
    let red = Tensor::from_slice(&[200_u8, 0, 0]).view([1, 1, 1, 3]);
    let made = apply(&red, &[vec![Operation::Color(0.5)]]).unwrap();
    // Its grey is 59.8, so 60.
    assert_eq!(numbers(&made), [130.0, 30.0, 30.0]);
}

#[test]
fn sharpness_leaves_the_edge_alone() {
    let mut picture = [0_u8; 9];
    picture[4] = 130;
    let mut want = [0.0; 9];
    want[4] = 50.0; // 130 * 5 / 13
    assert_eq!(after(&picture, Operation::Sharpness(0.0)), want);
    assert_eq!(after(&picture, Operation::Sharpness(1.0))[4], 130.0);
}

#[test]
fn equalized_values_are_their_ranks() {
    // 32 x 32 pixels, of which 256 each are 10, 20, 30 and 40: steps of (1024 - 256) / 255 = 3, from 3 / 2 = 1 on.
    let values: Vec<u8> = (0..1024).map(|at| 10 * (1 + at / 256) as u8).collect();
    let made = after(&values, Operation::Equalize);
    assert_eq!([made[0], made[256], made[512], made[768]], [0.0, 85.0, 171.0, 255.0]);
    assert_eq!(after(&[5, 5, 9, 9], Operation::Equalize), [5.0, 5.0, 9.0, 9.0], "too few to be made equal");
}

#[test]
fn pictures_turn_counter_clockwise_and_shear_from_their_first_row() {
    let picture = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(after(&picture, Operation::Rotate(90.0)), [3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0]);
    assert_eq!(after(&picture, Operation::Rotate(180.0)), [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
    // Rows move by 0.4, 1.2 and 2.0: pixels by 0, 1 and 2.
    assert_eq!(after(&picture, Operation::ShearX(0.8)), [1.0, 2.0, 3.0, 5.0, 6.0, 0.0, 9.0, 0.0, 0.0]);
}

#[test]
fn a_view_does_not_depend_on_its_neighbours() {
    let values: Vec<u8> = (0..3 * 48).map(|at| (at * 37 % 251) as u8).collect();
    let images = Tensor::from_slice(&values).view([3, 4, 4, 3]);
    let operations = [
        vec![Operation::Rotate(20.0), Operation::Equalize],
        Vec::new(),
        vec![Operation::Sharpness(1.7), Operation::Invert],
    ];
    let all = apply(&images, &operations).unwrap();
    for row in 0..3 {
        let alone = apply(&images.narrow(0, row, 1), &operations[row as usize..=row as usize]).unwrap();
        assert_eq!(numbers(&all.narrow(0, row, 1)), numbers(&alone));
    }
    assert_eq!(numbers(&all.get(1)), numbers(&images.get(1)), "no operation, no change");
    assert!(apply(&images, &operations[..2]).unwrap_err().to_string().contains("operations of 3 pictures"));
    let none = apply(&images.narrow(0, 0, 0), &[]).unwrap();
    assert_eq!(none.size(), [0, 4, 4, 3]);
}

#[test]
fn noise_stays_in_range_and_a_square_becomes_the_mean() {
    let noise = Tensor::from_slice(&[0.0_f32, 0.2, 1.0, -1.0]).view([1, 2, 2, 1]).repeat([1, 1, 1, 3]);
    let made = numbers(&noisy(&greys(&[10, 100, 200, 50]), &noise).unwrap().select(3, 1));
    assert!(made.iter().zip([10.0, 151.0, 255.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-4), "{made:?}");
    let pixels = Tensor::ones([2, 3, 4, 4], (Kind::Float, Device::Cpu));
    let made = erased(&pixels, &[None, Some(Square { top: 1, left: 2, side: 2 })]).unwrap();
    assert_eq!(numbers(&made.get(0)), [1.0; 48]);
    let plane = numbers(&made.get(1).get(2));
    assert_eq!((0..16).filter(|at| plane[*at] == 0.0).collect::<Vec<_>>(), [6, 7, 10, 11]);
    assert_eq!(pixels.sum(Kind::Float).double_value(&[]), 96.0, "what was given stays");
}
