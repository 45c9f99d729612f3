//! AutoAugment's policies for ImageNet (Cubuk et al., CVPR 2019, table 9): two steps each, of which one policy is drawn for
//! every picture.
//!
//! It must never draw.

use super::Operation;

/// How many policies there are.
pub const POLICIES: usize = 25;

/// An operation that is done with some probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub probability: f64,
    kind: Kind,
    /// From 0 to 9; nothing where the operation has no strength.
    level: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ShearX,
    Rotate,
    Posterize,
    Solarize,
    Color,
    Contrast,
    Sharpness,
    AutoContrast,
    Equalize,
    Invert,
}

const LEVELS: f64 = 9.0;

impl Step {
    /// The operation at its level. What can go either way (left or right, more or less) goes backwards where that is asked for.
    pub fn operation(&self, backwards: bool) -> Operation {
        let strength = f64::from(self.level) / LEVELS;
        let either = |most: f64| if backwards { -most * strength } else { most * strength };
        match self.kind {
            Kind::ShearX => Operation::ShearX(either(0.3)),
            Kind::Rotate => Operation::Rotate(either(30.0)),
            Kind::Posterize => Operation::Posterize(8 - (4.0 * strength).round() as u32),
            Kind::Solarize => Operation::Solarize(255.0 * (1.0 - strength)),
            Kind::Color => Operation::Color(1.0 + either(0.9)),
            Kind::Contrast => Operation::Contrast(1.0 + either(0.9)),
            Kind::Sharpness => Operation::Sharpness(1.0 + either(0.9)),
            Kind::AutoContrast => Operation::AutoContrast,
            Kind::Equalize => Operation::Equalize,
            Kind::Invert => Operation::Invert,
        }
    }
}

/// The steps of a policy, counted from 0.
///
/// # Panics
/// Where there is no such policy.
pub fn policy(number: usize) -> [Step; 2] {
    TABLE[number].map(|(kind, probability, level)| Step { probability, kind, level })
}

const TABLE: [[(Kind, f64, u8); 2]; POLICIES] = [
    [(Kind::Posterize, 0.4, 8), (Kind::Rotate, 0.6, 9)],
    [(Kind::Solarize, 0.6, 5), (Kind::AutoContrast, 0.6, 0)],
    [(Kind::Equalize, 0.8, 0), (Kind::Equalize, 0.6, 0)],
    [(Kind::Posterize, 0.6, 7), (Kind::Posterize, 0.6, 6)],
    [(Kind::Equalize, 0.4, 0), (Kind::Solarize, 0.2, 4)],
    [(Kind::Equalize, 0.4, 0), (Kind::Rotate, 0.8, 8)],
    [(Kind::Solarize, 0.6, 3), (Kind::Equalize, 0.6, 0)],
    [(Kind::Posterize, 0.8, 5), (Kind::Equalize, 1.0, 0)],
    [(Kind::Rotate, 0.2, 3), (Kind::Solarize, 0.6, 8)],
    [(Kind::Equalize, 0.6, 0), (Kind::Posterize, 0.4, 6)],
    [(Kind::Rotate, 0.8, 8), (Kind::Color, 0.4, 0)],
    [(Kind::Rotate, 0.4, 9), (Kind::Equalize, 0.6, 0)],
    [(Kind::Equalize, 0.0, 0), (Kind::Equalize, 0.8, 0)],
    [(Kind::Invert, 0.6, 0), (Kind::Equalize, 1.0, 0)],
    [(Kind::Color, 0.6, 4), (Kind::Contrast, 1.0, 8)],
    [(Kind::Rotate, 0.8, 8), (Kind::Color, 1.0, 2)],
    [(Kind::Color, 0.8, 8), (Kind::Solarize, 0.8, 7)],
    [(Kind::Sharpness, 0.4, 7), (Kind::Invert, 0.6, 0)],
    [(Kind::ShearX, 0.6, 5), (Kind::Equalize, 1.0, 0)],
    [(Kind::Color, 0.4, 0), (Kind::Equalize, 0.6, 0)],
    [(Kind::Equalize, 0.4, 0), (Kind::Solarize, 0.2, 4)],
    [(Kind::Solarize, 0.6, 5), (Kind::AutoContrast, 0.6, 0)],
    [(Kind::Invert, 0.6, 0), (Kind::Equalize, 1.0, 0)],
    [(Kind::Color, 0.6, 4), (Kind::Contrast, 1.0, 8)],
    [(Kind::Equalize, 0.8, 0), (Kind::Equalize, 0.6, 0)],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_part_of_the_strongest() {
        let [posterize, rotate] = policy(0);
        assert_eq!((posterize.probability, posterize.operation(true)), (0.4, Operation::Posterize(4)));
        assert_eq!(
            [false, true].map(|back| rotate.operation(back)),
            [Operation::Rotate(30.0), Operation::Rotate(-30.0)]
        );
        assert_eq!(policy(3).map(|step| step.operation(false)), [Operation::Posterize(5); 2]);
        assert_eq!(policy(10)[1].operation(true), Operation::Color(1.0), "the weakest changes nothing");
        let Operation::Solarize(from) = policy(6)[0].operation(false) else { panic!("is another operation") };
        assert!((from - 170.0).abs() < 1e-9);
    }
}
