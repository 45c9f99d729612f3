//! From bytes to what the image tower eats, and the disturbances that the score signals measure.
//!
//! It must never decode an image: the data crate hands over bytes of the right side.

use tch::{Kind, Tensor};

use crate::config::Normalization;
use crate::error::{ModelError, Result};

/// RGB bytes `[B, side, side, 3]` (NHWC) to normalised pixels `[B, 3, side, side]` f32 on the CPU.
///
/// # Errors
/// As [`images`].
pub fn to_model_input(nhwc: &[u8], side: usize, normalization: &Normalization) -> Result<Tensor> {
    normalized(&images(nhwc, side)?, normalization)
}

/// RGB bytes as a tensor `[B, side, side, 3]` of bytes on the CPU: a quarter of what pixels take on their way to a device.
///
/// # Errors
/// `WrongInput` where the length is no multiple of side * side * 3.
pub fn images(nhwc: &[u8], side: usize) -> Result<Tensor> {
    let image_bytes = side * side * 3;
    if image_bytes == 0 || !nhwc.len().is_multiple_of(image_bytes) {
        let want = format!("a multiple of {side} * {side} * 3 bytes");
        return Err(ModelError::WrongInput { what: "the image buffer", have: vec![nhwc.len() as i64], want });
    }
    let shape = [(nhwc.len() / image_bytes) as i64, side as i64, side as i64, 3];
    Ok(Tensor::f_from_data_size(nhwc, &shape, Kind::Uint8)?)
}

/// Images to normalised pixels `[B, 3, side, side]` f32, on the device where the images are.
pub fn normalized(images: &Tensor, normalization: &Normalization) -> Result<Tensor> {
    let planes = images.f_permute([0, 3, 1, 2])?.f_contiguous()?.f_to_kind(Kind::Float)?.f_div_scalar_(255.0)?;
    let channels = |values: &[f32]| Tensor::f_from_slice(values)?.f_view([1, 3, 1, 1])?.f_to_device(images.device());
    Ok(planes.f_sub(&channels(&normalization.mean)?)?.f_div(&channels(&normalization.std)?)?)
}

/// Gaussian blur with standard deviation `sigma` in pixels, cut at 3 sigma, edges replicated; `[B, C, H, W]`.
///
/// # Errors
/// `OutOfRange` where sigma is not above 0.
pub fn gaussian_blur(pixels: &Tensor, sigma: f64) -> Result<Tensor> {
    if !(sigma > 0.0 && sigma < 1e3) {
        return Err(ModelError::OutOfRange { what: "sigma", have: sigma.to_string(), want: "above 0 to 1000".into() });
    }
    let radius = (3.0 * sigma).ceil() as i64;
    let weights: Vec<f64> = (-radius..=radius).map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    smooth(pixels, &weights.iter().map(|w| (w / sum) as f32).collect::<Vec<_>>())
}

/// The means of `side` x `side` cells, all channels of a picture in one row; `[B, C, H, W]` to `[B, C * side * side]`.
pub fn thumbnail(pixels: &Tensor, side: i64) -> Result<Tensor> {
    Ok(pixels.f_adaptive_avg_pool2d([side, side])?.f_flatten(1, -1)?)
}

/// Four pictures of each pair: the donor's left, right, upper and lower half with the host's other half; `[B, C, H, W]` each
/// to `[4 B, C, H, W]`.
pub fn halves(donors: &Tensor, hosts: &Tensor) -> Result<Tensor> {
    let half = |dim: i64, donor_first: bool| -> Result<Tensor> {
        let side = donors.size()[dim as usize];
        let (first, second) = if donor_first { (donors, hosts) } else { (hosts, donors) };
        let parts = [first.f_narrow(dim, 0, side / 2)?, second.f_narrow(dim, side / 2, side - side / 2)?];
        Ok(Tensor::f_cat(&parts, dim)?)
    };
    Ok(Tensor::f_cat(&[half(3, true)?, half(3, false)?, half(2, true)?, half(2, false)?], 0)?)
}

/// What a blur of `sigma` pixels leaves of the first, and what it takes from the second; `[B, C, H, W]` each.
///
/// # Errors
/// As [`gaussian_blur`].
pub fn coarse_with_fine(coarse: &Tensor, fine: &Tensor, sigma: f64) -> Result<Tensor> {
    Ok(gaussian_blur(&coarse.f_sub(fine)?, sigma)?.f_add(fine)?)
}

/// Convolves rows, then columns, with odd `taps`; each channel by itself.
fn smooth(pixels: &Tensor, taps: &[f32]) -> Result<Tensor> {
    let (batch, channels, height, width) = pixels.size4()?;
    let (length, radius) = (taps.len() as i64, taps.len() as i64 / 2);
    let taps = Tensor::f_from_slice(taps)?.f_to_device(pixels.device())?;
    let planes = pixels.f_reshape([batch * channels, 1, height, width])?;
    let padded = planes.f_replication_pad2d([radius, radius, radius, radius])?;
    let rows = convolve(&padded, &taps.f_view([1, 1, 1, length])?)?;
    let both = convolve(&rows, &taps.f_view([1, 1, length, 1])?)?;
    Ok(both.f_view([batch, channels, height, width])?)
}

fn convolve(planes: &Tensor, taps: &Tensor) -> Result<Tensor> {
    Ok(planes.f_conv2d(taps, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1)?)
}
