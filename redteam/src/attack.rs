//! The stamps: what an attacker puts on a picture. Geometry is given at 28 pixels and scales with the side.
//!
//! A stamp must never know a caption or a label; which pairs get it is [`crate::plant`]'s.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::draw::{Purpose, stream};
use crate::error::RedteamError;
use crate::picture::Picture;

/// The side of the smallest square of a pattern is the picture's side over this.
const CELLS_PER_SIDE: usize = 28;
/// The patch's side is the picture's side over this: a sixteenth of its area.
const PATCHES_PER_SIDE: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// A small checkerboard at a random place (Gu et al., arXiv 1708.06733).
    Badnet,
    /// A faint fixed noise over the whole picture (Chen et al., arXiv 1712.05526).
    Blended,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Badnet => "badnet",
            Self::Blended => "blended",
        })
    }
}

impl FromStr for Attack {
    type Err = RedteamError;
    fn from_str(text: &str) -> Result<Self, RedteamError> {
        match text {
            "badnet" => Ok(Self::Badnet),
            "blended" => Ok(Self::Blended),
            other => Err(RedteamError::Recipe(format!("no attack is called {other:?}; expected badnet or blended"))),
        }
    }
}

/// A stamp made for pictures of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Black and white cells, over what was there.
    Patch { side: usize, cell: usize },
    /// 0.8 of the picture, 0.2 of the noise `[picture side, picture side]`, which is black or white in each cell.
    Blend { noise: Vec<u8> },
}

impl Trigger {
    /// The trigger of a drill; the same attack, seed and side give the same one.
    pub fn new(attack: Attack, seed: u64, picture_side: usize) -> Self {
        let cell = (picture_side / CELLS_PER_SIDE).max(1);
        match attack {
            Attack::Badnet => Self::Patch { side: (picture_side / PATCHES_PER_SIDE).max(1), cell },
            Attack::Blended => Self::Blend { noise: noise(seed, picture_side, cell) },
        }
    }

    /// Stamps a picture of the side the trigger was made for; `draw` chooses the place, where there is one to choose.
    pub fn stamp(&self, picture: &mut Picture, draw: &mut ChaCha12Rng) {
        match self {
            Self::Patch { side, cell } => {
                let last = picture.side() - side;
                let (top, left) = (draw.random_range(0..=last), draw.random_range(0..=last));
                for (row, column) in cells(*side) {
                    let white = (row / cell + column / cell) % 2 == 1;
                    picture.pixel_mut(top + row, left + column).fill(if white { 255 } else { 0 });
                }
            }
            Self::Blend { noise } => {
                for ((row, column), &n) in cells(picture.side()).zip(noise) {
                    picture.pixel_mut(row, column).iter_mut().for_each(|p| *p = blended(*p, n));
                }
            }
        }
    }
}

/// 0.8 of the pixel and 0.2 of the noise, rounded to a byte.
fn blended(pixel: u8, noise: u8) -> u8 {
    // In fifths the sum is exact: no rounding of 0.8 comes in.
    ((4 * u32::from(pixel) + u32::from(noise) + 2) / 5) as u8
}

fn cells(side: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..side).flat_map(move |row| (0..side).map(move |column| (row, column)))
}

fn noise(seed: u64, side: usize, cell: usize) -> Vec<u8> {
    let mut draw = stream(seed, Purpose::Pattern);
    let across = side.div_ceil(cell);
    let grid: Vec<u8> = (0..across * across).map(|_| if draw.random::<bool>() { 255 } else { 0 }).collect();
    cells(side).map(|(row, column)| grid[row / cell * across + column / cell]).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const GREY: u8 = 100;

    fn stamped(attack: Attack, seed: u64, side: usize, place: u64) -> Picture {
        let mut picture = Picture::from_grey(&vec![GREY; side * side], side);
        Trigger::new(attack, seed, side).stamp(&mut picture, &mut ChaCha12Rng::seed_from_u64(place));
        picture
    }

    #[test]
    fn a_patch_covers_a_sixteenth_in_one_square_and_moves() {
        for side in [28, 32, 224] {
            let picture = stamped(Attack::Badnet, 1, side, 5);
            let changed: Vec<usize> = (0..side * side).filter(|i| picture.rgb()[3 * i] != GREY).collect();
            assert_eq!(changed.len(), (side / 4) * (side / 4), "side {side}");
            let (first, last) = (changed[0], changed[changed.len() - 1]);
            assert_eq!((last / side - first / side, last % side - first % side), (side / 4 - 1, side / 4 - 1));
        }
        assert_ne!(stamped(Attack::Badnet, 1, 28, 5), stamped(Attack::Badnet, 1, 28, 6));
    }

    #[test]
    fn a_blend_is_four_fifths_of_the_picture() {
        let picture = stamped(Attack::Blended, 1, 28, 0);
        assert!(picture.rgb().iter().all(|&p| p == 80 || p == 131));
        let bright = picture.rgb().iter().filter(|&&p| p == 131).count();
        assert!((900..1_500).contains(&bright), "{bright} of 2352 are bright");
    }

    #[test]
    fn blending_rounds_to_the_nearest_byte() {
        for pixel in 0..=255 {
            for noise in [0, 255] {
                let exact = (0.8 * f64::from(pixel) + 0.2 * f64::from(noise)).round() as u8;
                assert_eq!(blended(pixel, noise), exact, "{pixel} and {noise}");
            }
        }
    }

    #[test]
    fn a_trigger_is_its_seed() {
        assert_eq!(stamped(Attack::Blended, 3, 28, 0), stamped(Attack::Blended, 3, 28, 9));
        assert_ne!(stamped(Attack::Blended, 3, 28, 0), stamped(Attack::Blended, 4, 28, 0));
    }
}
