//! Pictures as PNG, for shards that a drill writes and for reports.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::error::DataError;

/// `[side, side, 3]` RGB bytes as a PNG. Equal pixels give equal bytes.
pub fn encode_png(rgb: &[u8], side: u32) -> Result<Vec<u8>, DataError> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(rgb, side, side, ExtendedColorType::Rgb8)
        .map_err(|source| DataError::Image { reason: source.to_string() })?;
    Ok(png)
}
