//! From an image file's bytes to `[side, side, 3]` RGB bytes, as open_clip's evaluation transform does
//! it before normalisation: RGB, shorter side to `side` (bicubic, antialiased), centre crop.
//!
//! It must never allocate for more pixels than the limit, and never panic, whatever the bytes are.
//! Alpha is dropped and not blended, EXIF orientation is ignored: both as WebDataset and Pillow do.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{ImageDecoder, ImageReader, RgbImage};

use crate::error::DataError;

/// The most pixels an image may have: where Pillow takes it for a decompression bomb.
pub const MAX_PIXELS: u64 = 178_956_970;
/// The most memory one decoder may take, in bytes.
pub const MAX_DECODE_BYTES: u64 = 1 << 30;

/// JPEG, PNG or WebP, told by their first bytes. Exact where the picture has `side * side` pixels
/// already. Errors are `DataError::Image` with the reason.
pub fn decode(bytes: &[u8], side: u32) -> Result<Vec<u8>, DataError> {
    // A codec's bug must cost one sample and not the shard.
    catch_unwind(AssertUnwindSafe(|| rgb(bytes).and_then(|picture| fit(picture, side))))
        .unwrap_or_else(|_| Err("the decoder panicked".to_owned()))
        .map_err(|reason| DataError::Image { reason })
}

fn rgb(bytes: &[u8]) -> Result<RgbImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    if reader.format().is_none() {
        return Err(format!("{} bytes that are not jpeg, png or webp", bytes.len()));
    }
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(format!("{width} x {height} pixels; expected 1 to {MAX_PIXELS} in all"));
    }
    image::DynamicImage::from_decoder(decoder).map(image::DynamicImage::into_rgb8).map_err(|e| e.to_string())
}

/// Resizes and crops at once: only the source pixels under the crop are read, at the scale of the
/// whole.
fn fit(picture: RgbImage, side: u32) -> Result<Vec<u8>, String> {
    let (width, height) = picture.dimensions();
    if (width, height) == (side, side) {
        return Ok(picture.into_raw());
    }
    let (left, crop_width) = window(width, width.min(height), side);
    let (top, crop_height) = window(height, width.min(height), side);
    let source = ImageRef::new(width, height, picture.as_raw(), PixelType::U8x3).map_err(|e| e.to_string())?;
    let mut target = Image::new(side, side, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).crop(
        left,
        top,
        crop_width,
        crop_height,
    );
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| e.to_string())?;
    Ok(target.into_vec())
}

/// Where the crop begins on one axis and how long it is, in source pixels. The axis is resized to
/// `side * length / shorter`, rounded down, and then cropped to `side` from the middle, a half going
/// to the even number (torchvision's `resize` and `center_crop`).
fn window(length: u32, shorter: u32, side: u32) -> (f64, f64) {
    let resized = (u64::from(side) * u64::from(length) / u64::from(shorter)).max(u64::from(side));
    let first = ((resized - u64::from(side)) as f64 / 2.0).round_ties_even();
    let scale = f64::from(length) / resized as f64;
    let start = first * scale;
    (start, (f64::from(side) * scale).min(f64::from(length) - start))
}

#[cfg(test)]
mod tests;
