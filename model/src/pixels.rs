//! From bytes to what the image tower eats, and the disturbances that the score signals measure.
//!
//! It must never decode an image: the data crate hands over bytes of the right side.

use tch::Tensor;

use crate::config::Normalization;
use crate::error::Result;

/// RGB bytes `[B, side, side, 3]` (NHWC) to normalised pixels `[B, 3, side, side]` f32 on the CPU.
///
/// # Errors
/// `WrongInput` where the length is no multiple of side * side * 3.
pub fn to_model_input(nhwc: &[u8], side: usize, normalization: &Normalization) -> Result<Tensor> {
    let _ = (nhwc, side, normalization);
    todo!()
}

/// Mean over a square of 2 radius + 1 pixels a side, edges replicated; `[B, C, H, W]`.
pub fn box_blur(pixels: &Tensor, radius: i64) -> Result<Tensor> {
    let _ = (pixels, radius);
    todo!()
}

/// Gaussian blur with standard deviation `sigma` in pixels, cut at 3 sigma, edges replicated; `[B, C, H, W]`.
pub fn gaussian_blur(pixels: &Tensor, sigma: f64) -> Result<Tensor> {
    let _ = (pixels, sigma);
    todo!()
}

/// The centre `share` (0 to 1) of each side, enlarged to the old size (bilinear); `[B, C, H, W]`.
pub fn centre_crop(pixels: &Tensor, share: f64) -> Result<Tensor> {
    let _ = (pixels, share);
    todo!()
}
