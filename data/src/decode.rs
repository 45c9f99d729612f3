//! From an image file's bytes to `[side, side, 3]` RGB bytes, as open_clip's evaluation transform does
//! it before normalisation: RGB, shorter side to `side` (bicubic, antialiased), centre crop.
//!
//! It must never allocate for more pixels than the limit, and never panic, whatever the bytes are.
//! Alpha is dropped and not blended, EXIF orientation is ignored: both as WebDataset and Pillow do.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, RgbImage};

use crate::error::DataError;

mod layout;
mod reduced;
pub use reduced::JpegScale;

/// The most pixels an image may have: where Pillow takes it for a decompression bomb.
pub const MAX_PIXELS: u64 = 178_956_970;
/// The most memory that one picture may take while it is unpacked, in bytes.
pub const MAX_DECODE_BYTES: u64 = 1 << 30;

const RGB_BYTES: u64 = 3;

/// What a picture becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Of the square, in pixels.
    pub side: u32,
    pub jpeg: JpegScale,
}

impl Target {
    pub fn exact(side: u32) -> Self {
        Self { side, jpeg: JpegScale::Exact }
    }
}

/// JPEG, PNG, WebP or GIF (of several frames the first), told by their first bytes. Exact where the picture has `side * side` pixels
/// already. Errors are `DataError::Image` with the reason.
pub fn decode(bytes: &[u8], target: Target) -> Result<Vec<u8>, DataError> {
    guarded(|| rgb(bytes, target).and_then(|picture| fit(picture, target.side)))
}

/// An image file's pixels, the first half of [`decode`].
pub fn unpack(bytes: &[u8], target: Target) -> Result<RgbImage, DataError> {
    guarded(|| rgb(bytes, target))
}

/// A picture's `[side, side, 3]` bytes, the second half of [`decode`].
pub fn resize(picture: RgbImage, side: u32) -> Result<Vec<u8>, DataError> {
    guarded(|| fit(picture, side))
}

/// A codec's bug must cost one sample and not the shard.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the decoder panicked".to_owned()))
        .map_err(|reason| DataError::Image { reason })
}

fn rgb(bytes: &[u8], target: Target) -> Result<RgbImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let Some(format) = reader.format() else {
        return Err(format!("{} bytes that are not jpeg, png, webp or gif", bytes.len()));
    };
    layout::check_end(bytes)?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(format!("{width} x {height} pixels; expected 1 to {MAX_PIXELS} in all"));
    }
    let own = decoder.total_bytes() + layout::bytes_beside(bytes, pixels);
    // Beside what the decoder gives, where it is not RGB of 8 bits already.
    let copy = if decoder.color_type() == ColorType::Rgb8 { 0 } else { RGB_BYTES * pixels };
    let needed = own.max(decoder.total_bytes() + copy);
    if needed > MAX_DECODE_BYTES {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let limit = mib(MAX_DECODE_BYTES);
        return Err(format!("{width} x {height} pixels take {} MiB to unpack; the limit is {limit} MiB", mib(needed)));
    }
    let reduced = match (target.jpeg, format) {
        (JpegScale::Reduced, ImageFormat::Jpeg) => reduced::unpack(bytes, (width, height), target.side),
        (JpegScale::Exact | JpegScale::Reduced, _) => None,
    };
    if let Some(picture) = reduced {
        return Ok(picture);
    }
    image::DynamicImage::from_decoder(decoder).map(image::DynamicImage::into_rgb8).map_err(|e| e.to_string())
}

/// Resizes and crops at once, columns before rows as Pillow does: the order shows where a value is cut
/// to a byte between the two. Only the source pixels that the crop depends on are read.
fn fit(picture: RgbImage, side: u32) -> Result<Vec<u8>, String> {
    let (width, height) = picture.dimensions();
    if (width, height) == (side, side) {
        return Ok(picture.into_raw());
    }
    let columns = Window::of(width, width.min(height), side);
    let rows = Window::of(height, width.min(height), side);
    // The cubic kernel reaches two pixels of the coarser grid.
    let reach = 2.0 * (rows.length / f64::from(side)).max(1.0) + 1.0;
    let first = (rows.start - reach).floor().max(0.0);
    let needed = (rows.start + rows.length + reach).ceil().min(f64::from(height)) - first;
    let narrow = pass(&picture, (columns, Window { start: first, length: needed }), (side, needed as u32))?;
    drop(picture);
    pass(&narrow, (Window::whole(side), Window { start: rows.start - first, ..rows }), (side, side))
        .map(RgbImage::into_raw)
}

/// Resizes the pixels under two windows (columns, rows) to `(width, height)`.
fn pass(
    picture: &RgbImage,
    (columns, rows): (Window, Window),
    (width, height): (u32, u32),
) -> Result<RgbImage, String> {
    let source = ImageRef::new(picture.width(), picture.height(), picture.as_raw(), PixelType::U8x3)
        .map_err(|e| e.to_string())?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).crop(
        columns.start,
        rows.start,
        columns.length,
        rows.length,
    );
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| e.to_string())?;
    RgbImage::from_raw(width, height, target.into_vec()).ok_or_else(|| "the resizer returned too few bytes".to_owned())
}

/// A stretch of one axis, in source pixels.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: f64,
    length: f64,
}

impl Window {
    /// What the crop keeps of an axis: it is resized to `side * length / shorter`, rounded down, and
    /// cropped to `side` from the middle, a half going to the even number (torchvision's `resize` and
    /// `center_crop`).
    fn of(length: u32, shorter: u32, side: u32) -> Self {
        let resized = (u64::from(side) * u64::from(length) / u64::from(shorter)).max(u64::from(side));
        let first = ((resized - u64::from(side)) as f64 / 2.0).round_ties_even();
        let scale = f64::from(length) / resized as f64;
        let start = first * scale;
        Self { start, length: (f64::from(side) * scale).min(f64::from(length) - start) }
    }

    fn whole(length: u32) -> Self {
        Self { start: 0.0, length: f64::from(length) }
    }
}

#[cfg(test)]
mod formats_tests;
#[cfg(test)]
mod tests;
