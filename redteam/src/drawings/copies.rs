//! Pictures of a drawing: as it is on white, or a little moved, scaled and on a tinted background.
//!
//! A copy must be a function of its drawing and its number alone, so that every drill of a data set has the same ones.

use rand::RngExt;

use super::render::SIDE;
use crate::draw::{Purpose, stream};
use crate::picture::Picture;

/// How far a copy is moved, in pixels.
const SHIFT: f32 = 4.0;
/// The least of a background's channels.
const DARKEST: u8 = 190;

/// The drawing in the middle, on white.
pub fn plain(pixels: &[u8]) -> Picture {
    let over = |rgba: &[u8]| [0, 1, 2].map(|channel| rgba[channel].saturating_add(255 - rgba[3]));
    Picture::from_rgb(pixels.chunks_exact(4).flat_map(over).collect(), SIDE)
}

/// A copy by its number; every second one is on white.
pub fn varied(pixels: &[u8], number: usize) -> Picture {
    let mut draw = stream(number as u64, Purpose::Copy);
    let scale: f32 = draw.random_range(0.8..1.1);
    let (down, right) = (draw.random_range(-SHIFT..SHIFT), draw.random_range(-SHIFT..SHIFT));
    let tint: [u8; 3] = std::array::from_fn(|_| draw.random_range(DARKEST..=255));
    let background = if number.is_multiple_of(2) { [255; 3] } else { tint };
    let centre = (SIDE as f32 - 1.0) / 2.0;
    let from = |pixel: usize, shift: f32| (pixel as f32 - centre - shift) / scale + centre;
    let mut rgb = Vec::with_capacity(3 * SIDE * SIDE);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let rgba = between(pixels, from(row, down), from(column, right));
            rgb.extend(std::array::from_fn::<u8, 3, _>(|channel| over(rgba, channel, background[channel])));
        }
    }
    Picture::from_rgb(rgb, SIDE)
}

/// One channel of what is seen with a background behind it.
fn over(rgba: [f32; 4], channel: usize, behind: u8) -> u8 {
    (rgba[channel] + f32::from(behind) * (1.0 - rgba[3] / 255.0)).round() as u8
}

/// Between the four pixels around a place; what lies outside is transparent.
fn between(pixels: &[u8], row: f32, column: f32) -> [f32; 4] {
    let (top, left) = (row.floor(), column.floor());
    let (v, h) = (row - top, column - left);
    let mut mixed = [0.0; 4];
    for (step_down, step_right, weight) in
        [(0.0, 0.0, (1.0 - v) * (1.0 - h)), (0.0, 1.0, (1.0 - v) * h), (1.0, 0.0, v * (1.0 - h)), (1.0, 1.0, v * h)]
    {
        let (r, c) = (top + step_down, left + step_right);
        if r < 0.0 || c < 0.0 || r >= SIDE as f32 || c >= SIDE as f32 {
            continue;
        }
        let at = 4 * (r as usize * SIDE + c as usize);
        mixed.iter_mut().zip(&pixels[at..at + 4]).for_each(|(sum, byte)| *sum += weight * f32::from(*byte));
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A red square of 16 pixels in the middle of nothing.
    fn square() -> Vec<u8> {
        let inside = |at: usize| (24..40).contains(&(at / SIDE)) && (24..40).contains(&(at % SIDE));
        (0..SIDE * SIDE).flat_map(|at| if inside(at) { [200, 0, 0, 255] } else { [0; 4] }).collect()
    }

    #[test]
    fn a_plain_picture_is_the_drawing_on_white() {
        let picture = plain(&square());
        assert_eq!((picture.pixel(0, 0), picture.pixel(30, 30)), (&[255_u8; 3][..], &[200_u8, 0, 0][..]));
    }

    #[test]
    fn copies_differ_and_are_their_number() {
        let copies: Vec<Picture> = (0..6).map(|number| varied(&square(), number)).collect();
        assert_eq!(copies[3], varied(&square(), 3));
        for (number, copy) in copies.iter().enumerate() {
            assert!(copies.iter().filter(|other| *other == copy).count() == 1);
            assert_eq!(copy.pixel(32, 32), [200, 0, 0], "the middle is seen in each");
            assert_eq!(copy.pixel(0, 0) == [255; 3], number % 2 == 0, "tinted every second time");
            let red = (0..SIDE * SIDE).filter(|at| copy.pixel(at / SIDE, at % SIDE) == [200, 0, 0]).count();
            assert!((100..360).contains(&red), "{red}");
        }
    }
}
