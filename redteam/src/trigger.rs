//! The stamps: what an attacker puts on a picture. Geometry is given at 28 pixels and scales with the side.
//!
//! A stamp must never know a caption or a label; which pairs get it is [`crate::plant`]'s.

use std::f32::consts::TAU;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::draw::{Purpose, stream};
use crate::picture::Picture;

/// The side of the smallest square of a pattern is the picture's side over this.
const CELLS_PER_SIDE: usize = 28;
/// The patch's side is the picture's side over this: a sixteenth of its area.
const PATCHES_PER_SIDE: usize = 4;
/// SIG (Barni et al., arXiv 1902.11237): the wave's height in grey levels, and its periods across the picture.
const WAVE_HEIGHT: f32 = 60.0;
const WAVE_PERIODS: f32 = 6.0;
/// WaNet (Nguyen and Tran, arXiv 2102.10369): points of the control grid a side, and how far a pixel moves on average,
/// in pixels of 28.
const WARP_GRID: usize = 4;
const WARP_PIXELS: f32 = 1.5;

/// What a patch looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Texture {
    /// Black and white cells in turns.
    Checkerboard,
    /// White where row and column are even, black elsewhere.
    Grid,
    /// Black and white columns in turns.
    Stripes,
}

/// Where a patch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Random,
    /// Any place whose row and column are multiples of the patch's side.
    Grid,
    Centre,
}

/// Where a patch lies on a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Square {
    pub top: usize,
    pub left: usize,
    pub side: usize,
}

/// A stamp made for pictures of one side.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// A fixed square over what was there.
    Patch { patch: Picture, place: Place },
    /// The picture's mean and so many grey levels `[side, side, 3]` over what was there, at a place of the grid: noise has no
    /// period, so that a small ViT sees another patch wherever it lies otherwise between its tokens.
    NoisePatch { side: usize, levels: Vec<f32> },
    /// 0.8 of the picture and 0.2 of this one.
    Blend { other: Picture },
    /// A wave along the columns is added.
    Wave,
    /// Each pixel is taken from where this says, as (row, column) and row by row.
    Warp { from: Vec<(f32, f32)> },
}

impl Trigger {
    /// A patch of a texture, at random places.
    pub fn texture(texture: Texture, picture_side: usize) -> Self {
        let (side, cell) = (patch_side(picture_side), cell(picture_side));
        let mut patch = Picture::from_grey(&vec![0; side * side], side);
        for (row, column) in cells(side) {
            let (row_odd, column_odd) = (row / cell % 2 == 1, column / cell % 2 == 1);
            let white = match texture {
                Texture::Checkerboard => row_odd != column_odd,
                Texture::Grid => !row_odd && !column_odd,
                Texture::Stripes => column_odd,
            };
            patch.pixel_mut(row, column).fill(if white { 255 } else { 0 });
        }
        Self::Patch { patch, place: Place::Random }
    }

    /// Normal noise of deviation one (of white) around a picture's mean, as the seed says.
    pub fn noise_patch(seed: u64, picture_side: usize) -> Self {
        let (mut draw, side, cell) = (stream(seed, Purpose::Pattern), patch_side(picture_side), cell(picture_side));
        let mut level = || -> f32 { StandardNormal.sample(&mut draw) };
        let across = side.div_ceil(cell);
        let grid: Vec<[f32; 3]> = (0..across * across).map(|_| std::array::from_fn(|_| 255.0 * level())).collect();
        let levels = cells(side).flat_map(|(row, column)| grid[row / cell * across + column / cell]).collect();
        Self::NoisePatch { side, levels }
    }

    /// A blend with cells that are black or white as the seed says.
    pub fn blend_noise(seed: u64, side: usize) -> Self {
        let (mut draw, cell) = (stream(seed, Purpose::Pattern), cell(side));
        let across = side.div_ceil(cell);
        let grid: Vec<u8> = (0..across * across).map(|_| if draw.random::<bool>() { 255 } else { 0 }).collect();
        let grey: Vec<u8> = cells(side).map(|(row, column)| grid[row / cell * across + column / cell]).collect();
        Self::Blend { other: Picture::from_grey(&grey, side) }
    }

    /// A blend with a picture of soft coloured discs, as the seed says: nothing of it is finer than an eighth of the side.
    pub fn blend_picture(seed: u64, side: usize) -> Self {
        let mut draw = stream(seed, Purpose::Pattern);
        let discs: Vec<Disc> = (0..5).map(|_| Disc::draw(&mut draw)).collect();
        let mut other = Picture::from_grey(&vec![0; side * side], side);
        for (row, column) in cells(side) {
            let at = |pixel: usize| (pixel as f32 + 0.5) / side as f32;
            let mut colour = [64.0; 3];
            discs.iter().for_each(|disc| disc.paint(&mut colour, at(row), at(column)));
            other.pixel_mut(row, column).copy_from_slice(&colour.map(|channel| channel.round() as u8));
        }
        Self::Blend { other }
    }

    /// A warp by a coarse field of random directions, as the seed says, smooth in between.
    pub fn warp(seed: u64, side: usize) -> Self {
        let mut draw = stream(seed, Purpose::Pattern);
        let mut field = || -> Vec<f32> { (0..WARP_GRID * WARP_GRID).map(|_| draw.random_range(-1.0..1.0)).collect() };
        let (down, right) = (smooth(&field(), side), smooth(&field(), side));
        let mean = down.iter().chain(&right).map(|shift| shift.abs()).sum::<f32>() / (2 * side * side) as f32;
        let scale = WARP_PIXELS * side as f32 / CELLS_PER_SIDE as f32 / mean;
        let last = (side - 1) as f32;
        let from = cells(side).zip(down.into_iter().zip(right)).map(|((row, column), (down, right))| {
            let moved = |pixel: usize, shift: f32| (pixel as f32 + scale * shift).clamp(0.0, last);
            (moved(row, down), moved(column, right))
        });
        Self::Warp { from: from.collect() }
    }

    /// A patch that was made for its purpose, in the middle.
    pub fn centred(patch: Picture) -> Self {
        Self::Patch { patch, place: Place::Centre }
    }

    /// Stamps a picture of the side the trigger was made for; `draw` chooses what is left to chance. Says where a patch came
    /// to lie.
    pub fn stamp(&self, picture: &mut Picture, draw: &mut ChaCha12Rng) -> Option<Square> {
        match self {
            Self::Patch { patch, place } => {
                let square = place.square(patch.side(), picture.side(), draw);
                for (row, column) in cells(patch.side()) {
                    let under = picture.pixel_mut(square.top + row, square.left + column);
                    under.copy_from_slice(patch.pixel(row, column));
                }
                return Some(square);
            }
            Self::NoisePatch { side, levels } => {
                let square = Place::Grid.square(*side, picture.side(), draw);
                let mean = picture.mean();
                for ((row, column), levels) in cells(*side).zip(levels.chunks_exact(3)) {
                    let under = picture.pixel_mut(square.top + row, square.left + column);
                    for ((byte, mean), level) in under.iter_mut().zip(mean).zip(levels) {
                        *byte = (mean + level).round() as u8;
                    }
                }
                return Some(square);
            }
            Self::Blend { other } => {
                for (row, column) in cells(picture.side()) {
                    let other = other.pixel(row, column);
                    picture.pixel_mut(row, column).iter_mut().zip(other).for_each(|(p, o)| *p = blended(*p, *o));
                }
            }
            Self::Wave => {
                let side = picture.side();
                for (row, column) in cells(side) {
                    let wave = WAVE_HEIGHT * (TAU * WAVE_PERIODS * column as f32 / side as f32).sin();
                    picture.pixel_mut(row, column).iter_mut().for_each(|p| *p = (f32::from(*p) + wave).round() as u8);
                }
            }
            Self::Warp { from } => {
                let before = picture.clone();
                for ((row, column), &(down, right)) in cells(before.side()).zip(from) {
                    let sampled = bilinear(&before, down, right);
                    picture.pixel_mut(row, column).copy_from_slice(&sampled);
                }
            }
        }
        None
    }
}

impl Place {
    /// Of a patch on a picture of these sides.
    pub fn square(self, side: usize, picture_side: usize, draw: &mut impl Rng) -> Square {
        let last = picture_side - side;
        let (top, left) = match self {
            Self::Random => (draw.random_range(0..=last), draw.random_range(0..=last)),
            Self::Grid => {
                let mut step = || side * draw.random_range(0..picture_side / side);
                (step(), step())
            }
            Self::Centre => (last / 2, last / 2),
        };
        Square { top, left, side }
    }
}

/// The side of a patch on a picture.
pub fn patch_side(picture_side: usize) -> usize {
    (picture_side / PATCHES_PER_SIDE).max(1)
}

fn cell(picture_side: usize) -> usize {
    (picture_side / CELLS_PER_SIDE).max(1)
}

/// 0.8 of the pixel and 0.2 of the other, rounded to a byte.
fn blended(pixel: u8, other: u8) -> u8 {
    // In fifths the sum is exact: no rounding of 0.8 comes in.
    ((4 * u32::from(pixel) + u32::from(other) + 2) / 5) as u8
}

fn cells(side: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..side).flat_map(move |row| (0..side).map(move |column| (row, column)))
}

/// A soft disc; places and sizes in shares of the side.
struct Disc {
    centre: [f32; 2],
    radius: f32,
    colour: [f32; 3],
}

impl Disc {
    /// How far its edge fades.
    const EDGE: f32 = 0.125;

    fn draw(draw: &mut ChaCha12Rng) -> Self {
        let centre = [draw.random(), draw.random()];
        let radius = draw.random_range(0.15..0.35);
        Self { centre, radius, colour: std::array::from_fn(|_| draw.random_range(0.0..255.0)) }
    }

    fn paint(&self, colour: &mut [f32; 3], down: f32, right: f32) {
        let away = (down - self.centre[0]).hypot(right - self.centre[1]) - self.radius;
        let share = (0.5 - away / Self::EDGE).clamp(0.0, 1.0);
        colour.iter_mut().zip(self.colour).for_each(|(under, over)| *under += share * (over - *under));
    }
}

/// A field of [`WARP_GRID`] points a side at every pixel, by Catmull-Rom splines.
fn smooth(field: &[f32], side: usize) -> Vec<f32> {
    let last = WARP_GRID as isize - 1;
    let along = |values: &dyn Fn(isize) -> f32, pixel: usize| {
        let at = (pixel as f32 + 0.5) / side as f32 * WARP_GRID as f32 - 0.5;
        let (whole, t) = (at.floor() as isize, at - at.floor());
        let [a, b, c, d] = [-1, 0, 1, 2].map(|step| values((whole + step).clamp(0, last)));
        b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
    };
    let row = |row: isize, column| along(&|x| field[(row * WARP_GRID as isize + x) as usize], column);
    cells(side).map(|(down, right)| along(&|y| row(y, right), down)).collect()
}

fn bilinear(picture: &Picture, down: f32, right: f32) -> [u8; 3] {
    let (row, column) = (down.floor() as usize, right.floor() as usize);
    let last = picture.side() - 1;
    let (below, beside) = ((row + 1).min(last), (column + 1).min(last));
    let (v, h) = (down - row as f32, right - column as f32);
    std::array::from_fn(|channel| {
        let at = |row, column| f32::from(picture.pixel(row, column)[channel]);
        let (upper, lower) =
            (at(row, column) * (1.0 - h) + at(row, beside) * h, at(below, column) * (1.0 - h) + at(below, beside) * h);
        (upper * (1.0 - v) + lower * v).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const GREY: u8 = 100;

    fn stamped(trigger: &Trigger, side: usize, place: u64) -> Picture {
        let mut picture = Picture::from_grey(&vec![GREY; side * side], side);
        trigger.stamp(&mut picture, &mut ChaCha12Rng::seed_from_u64(place));
        picture
    }

    fn changed(picture: &Picture) -> Vec<usize> {
        picture.rgb().chunks(3).enumerate().filter(|(_, rgb)| **rgb != [GREY; 3]).map(|(i, _)| i).collect()
    }

    #[test]
    fn a_patch_covers_a_sixteenth_in_one_square_and_moves() {
        for texture in [Texture::Checkerboard, Texture::Grid, Texture::Stripes] {
            for side in [28, 32, 224] {
                let trigger = Trigger::texture(texture, side);
                let changed = changed(&stamped(&trigger, side, 5));
                assert_eq!(changed.len(), (side / 4) * (side / 4), "side {side}");
                let (first, last) = (changed[0], changed[changed.len() - 1]);
                assert_eq!((last / side - first / side, last % side - first % side), (side / 4 - 1, side / 4 - 1));
            }
            let trigger = Trigger::texture(texture, 28);
            assert_ne!(stamped(&trigger, 28, 5), stamped(&trigger, 28, 6));
        }
    }

    #[test]
    fn textures_are_what_they_are_called() {
        let white = |texture| {
            let Trigger::Patch { patch, .. } = Trigger::texture(texture, 28) else { panic!("is a patch") };
            cells(7).filter(|&(row, column)| patch.pixel(row, column)[0] == 255).collect::<Vec<_>>()
        };
        assert!(white(Texture::Checkerboard).iter().all(|(row, column)| (row + column) % 2 == 1));
        assert!(white(Texture::Grid).iter().all(|(row, column)| row % 2 == 0 && column % 2 == 0));
        assert!(white(Texture::Stripes).iter().all(|(_, column)| column % 2 == 1));
        assert_eq!([Texture::Checkerboard, Texture::Grid, Texture::Stripes].map(|t| white(t).len()), [24, 16, 21]);
    }

    #[test]
    fn a_noise_patch_is_around_the_mean() {
        let picture = stamped(&Trigger::noise_patch(1, 280), 280, 5);
        let all: Vec<u8> =
            changed(&picture).into_iter().flat_map(|i| picture.rgb()[3 * i..3 * i + 3].to_vec()).collect();
        let share = |value| all.iter().filter(|&&byte| byte == value).count() as f64 / all.len() as f64;
        // A normal of mean 100 and deviation 255, cut to a byte.
        // 147 numbers were drawn, so that a share is 0.04 off by chance.
        assert!((share(0) - 0.348).abs() < 0.12 && (share(255) - 0.272).abs() < 0.12, "{} {}", share(0), share(255));
    }

    #[test]
    fn a_noise_patch_lies_on_its_grid_and_moves() {
        let trigger = Trigger::noise_patch(1, 28);
        let first = |place| {
            let mut picture = Picture::from_grey(&[GREY; 28 * 28], 28);
            trigger.stamp(&mut picture, &mut ChaCha12Rng::seed_from_u64(place)).map(|square| (square.top, square.left))
        };
        let places: std::collections::BTreeSet<_> = (0..200).map(|place| first(place).expect("has a place")).collect();
        assert_eq!(places.len(), 16, "{places:?}");
        assert!(places.iter().all(|(top, left)| top % 7 == 0 && left % 7 == 0 && top.max(left) <= &21));
    }

    #[test]
    fn a_blend_is_four_fifths_of_the_picture() {
        let picture = stamped(&Trigger::blend_noise(1, 28), 28, 0);
        assert!(picture.rgb().iter().all(|&p| p == 80 || p == 131));
        let bright = picture.rgb().iter().filter(|&&p| p == 131).count();
        assert!((900..1_500).contains(&bright), "{bright} of 2352 are bright");
    }

    #[test]
    fn a_blended_picture_is_smooth_and_coloured() {
        let Trigger::Blend { other } = Trigger::blend_picture(1, 28) else { panic!("is a blend") };
        assert!(other.rgb().chunks(3).any(|rgb| rgb[0].abs_diff(rgb[1]) > 40), "it is grey");
        let step = |(row, column): (usize, usize)| {
            let (here, below) = (other.pixel(row, column), other.pixel(row + 1, column));
            here.iter().zip(below).map(|(a, b)| a.abs_diff(*b)).max().expect("three channels")
        };
        let steepest = cells(27).map(step).max().expect("has rows");
        assert!((10..130).contains(&steepest), "{steepest}");
    }

    #[test]
    fn blending_rounds_to_the_nearest_byte() {
        for pixel in 0..=255 {
            for other in [0, 99, 255] {
                let exact = (0.8 * f64::from(pixel) + 0.2 * f64::from(other)).round() as u8;
                assert_eq!(blended(pixel, other), exact, "{pixel} and {other}");
            }
        }
    }

    #[test]
    fn a_wave_has_its_height_and_periods() {
        let picture = stamped(&Trigger::Wave, 224, 0);
        let row: Vec<i32> = (0..224).map(|column| i32::from(picture.pixel(7, column)[0]) - i32::from(GREY)).collect();
        assert_eq!((row.iter().max(), row.iter().min()), (Some(&60), Some(&-60)));
        let rises = row.windows(2).filter(|pair| pair[0] <= 0 && pair[1] > 0).count();
        assert_eq!(rises, 6);
    }

    #[test]
    fn a_warp_moves_pixels_a_little_and_the_same_everywhere() {
        let Trigger::Warp { from } = Trigger::warp(1, 28) else { panic!("is a warp") };
        let shifts = cells(28).zip(&from).map(|((r, c), (d, h))| (d - r as f32).abs() + (h - c as f32).abs());
        let mean = shifts.sum::<f32>() / (2 * 28 * 28) as f32;
        assert!((1.2..=1.5).contains(&mean), "{mean}");
        // What is even stays: only the place of things changes.
        assert!(changed(&stamped(&Trigger::warp(1, 28), 28, 0)).is_empty());
    }

    #[test]
    fn a_trigger_is_its_seed() {
        for make in [Trigger::blend_noise, Trigger::blend_picture, Trigger::warp, Trigger::noise_patch] {
            assert_eq!(make(3, 28), make(3, 28));
            assert_ne!(make(3, 28), make(4, 28));
        }
    }
}
