//! JPEGs unpacked at a half, a quarter or an eighth of their size, as their blocks allow: an inverse transform of fewer
//! coefficients, and less to resize.
//!
//! It must never give fewer pixels than the model's side, nor decide whether a picture is broken: what it cannot unpack is for the
//! exact decoder to tell.

use image::RgbImage;
use jpeg_decoder::{Decoder, PixelFormat};

use super::MAX_DECODE_BYTES;

/// How a JPEG becomes pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JpegScale {
    /// Whole, as Pillow and open_clip do it.
    #[default]
    Exact,
    /// By the smallest of 1/8, 1/4, 1/2 and 1 that leaves at least the model's side.
    Reduced,
}

const DIVISORS: [u32; 3] = [8, 4, 2];

/// The picture at a reduced scale; none where the whole one is needed.
pub(super) fn unpack(bytes: &[u8], (width, height): (u32, u32), side: u32) -> Option<RgbImage> {
    let divisor = divisor(width.min(height), side)?;
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(usize::try_from(MAX_DECODE_BYTES).ok()?);
    let scaled = |length: u32| u16::try_from(length.div_ceil(divisor)).ok();
    let (width, height) = decoder.scale(scaled(width)?, scaled(height)?).ok()?;
    let pixels = decoder.decode().ok()?;
    let pixels = match decoder.info()?.pixel_format {
        PixelFormat::RGB24 => pixels,
        PixelFormat::L8 => pixels.into_iter().flat_map(|grey| [grey; 3]).collect(),
        PixelFormat::L16 | PixelFormat::CMYK32 => return None,
    };
    RgbImage::from_raw(u32::from(width), u32::from(height), pixels)
}

fn divisor(shorter: u32, side: u32) -> Option<u32> {
    DIVISORS.into_iter().find(|divisor| shorter.div_ceil(*divisor) >= side)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat, Rgb};

    use super::*;
    use crate::decode::{Target, decode};

    /// Smooth, so that a scale loses little.
    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let level = |at: u32, of: u32| (255 * at / of) as u8;
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([level(x, width), level(y, height), 90]));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(picture).write_to(&mut bytes, ImageFormat::Jpeg).expect("encodes");
        bytes.into_inner()
    }

    #[test]
    fn the_smallest_scale_that_is_large_enough_is_taken() {
        for (shorter, side, expected) in [
            (223, 224, None),
            (447, 224, Some(2)),
            (446, 224, None),
            (448, 224, Some(2)),
            (900, 224, Some(4)),
            (60_000, 224, Some(8)),
        ] {
            assert_eq!(divisor(shorter, side), expected, "{shorter} to {side}");
        }
        let size =
            |width, height| unpack(&jpeg(width, height), (width, height), 32).map(|picture| picture.dimensions());
        assert_eq!(size(100, 70), Some((50, 35)));
        assert_eq!(size(131, 300), Some((33, 75)));
        assert_eq!(size(40, 300), None, "a half would be too small");
    }

    #[test]
    fn a_reduced_picture_is_nearly_the_exact_one() {
        for (width, height) in [(100, 70), (131, 300), (40, 300), (700, 520)] {
            let bytes = jpeg(width, height);
            let [exact, reduced] = [JpegScale::Exact, JpegScale::Reduced]
                .map(|jpeg| decode(&bytes, Target { side: 32, jpeg }).expect("decodes"));
            let worst = exact.iter().zip(&reduced).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst.is_some_and(|worst| worst <= 6), "{width} x {height}: {worst:?}");
            assert_eq!(exact == reduced, width == 40, "{width} x {height} is unpacked otherwise");
        }
    }

    #[test]
    fn what_is_broken_or_no_jpeg_is_told_as_ever() {
        let whole = jpeg(100, 70);
        let mut grey = Cursor::new(Vec::new());
        let picture = image::GrayImage::from_pixel(100, 70, image::Luma([90]));
        picture.write_to(&mut grey, ImageFormat::Jpeg).expect("encodes");
        let mut png = Cursor::new(Vec::new());
        picture.write_to(&mut png, ImageFormat::Png).expect("encodes");
        for bytes in [&whole[..whole.len() / 2], b"\xff\xd8\xff\xe0 broken", &grey.into_inner(), &png.into_inner()] {
            let [exact, reduced] =
                [JpegScale::Exact, JpegScale::Reduced].map(|jpeg| decode(bytes, Target { side: 32, jpeg }));
            assert_eq!(exact.map_err(|e| e.to_string()), reduced.map_err(|e| e.to_string()));
        }
    }
}
