//! Operations on the values of one picture: whole numbers from 0 to 255 as f32 planes `[3, S, S]`, to the same.
//!
//! It must never look at a second picture.

use tch::{Kind, Tensor};

use crate::error::Result;

const LAST: f64 = 255.0;

pub(super) fn invert(planes: &Tensor) -> Result<Tensor> {
    Ok(planes.f_neg()?.f_add_scalar(LAST)?)
}

/// Keeps the highest bits of each value.
pub(super) fn posterize(planes: &Tensor, bits: u32) -> Result<Tensor> {
    let step = f64::from(1_u32 << (8 - bits.clamp(1, 8)));
    Ok(planes.f_div_scalar(step)?.f_floor()?.f_mul_scalar(step)?)
}

/// Inverts the values from a threshold on.
pub(super) fn solarize(planes: &Tensor, from: f64) -> Result<Tensor> {
    Ok(invert(planes)?.f_where_self(&planes.f_ge(from)?, planes)?)
}

pub(super) fn color(planes: &Tensor, factor: f64) -> Result<Tensor> {
    blend(&grey(planes)?.f_expand_as(planes)?, planes, factor)
}

pub(super) fn contrast(planes: &Tensor, factor: f64) -> Result<Tensor> {
    let mean = grey(planes)?.f_mean(Kind::Float)?.f_add_scalar(0.5)?.f_floor()?;
    blend(&mean.f_expand_as(planes)?, planes, factor)
}

/// Against a mean of 3 by 3 whose middle counts five times; the picture's edge stays as it is.
pub(super) fn sharpness(planes: &Tensor, factor: f64) -> Result<Tensor> {
    let side = planes.size()[1];
    if side < 3 {
        return Ok(planes.shallow_clone());
    }
    let taps = Tensor::f_from_slice(&[1.0_f32, 1.0, 1.0, 1.0, 5.0, 1.0, 1.0, 1.0, 1.0])?.f_div_scalar(13.0)?;
    let taps = taps.f_view([1, 1, 3, 3])?.f_to_device(planes.device())?;
    let inner = planes.f_unsqueeze(1)?.f_conv2d(&taps, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1)?;
    let smooth = planes.f_detach_copy()?;
    smooth.f_narrow(1, 1, side - 2)?.f_narrow(2, 1, side - 2)?.f_copy_(&inner.f_squeeze_dim(1)?.f_round()?)?;
    blend(&smooth, planes, factor)
}

/// Stretches each channel from its least to its greatest value over the whole range; an even channel stays.
pub(super) fn auto_contrast(planes: &Tensor) -> Result<Tensor> {
    let least = planes.f_amin([1, 2].as_slice(), true)?;
    let span = planes.f_amax([1, 2].as_slice(), true)?.f_sub(&least)?;
    let stretched = planes.f_sub(&least)?.f_mul_scalar(LAST)?.f_div(&span.f_clamp_min(1.0)?)?.f_floor()?;
    Ok(stretched.f_where_self(&span.f_gt(0.0)?, planes)?)
}

/// Each channel by itself.
pub(super) fn equalize(planes: &Tensor) -> Result<Tensor> {
    let channels = (0..planes.size()[0]).map(|channel| equalize_channel(&planes.f_select(0, channel)?));
    Ok(Tensor::f_stack(&channels.collect::<Result<Vec<_>>>()?, 0)?)
}

/// The table by which a value becomes its rank among the channel's, in steps of equal counts.
fn equalize_channel(plane: &Tensor) -> Result<Tensor> {
    let values = plane.f_to_kind(Kind::Int64)?;
    let counts = values.f_reshape([-1])?.f_bincount(None::<&Tensor>, 256)?;
    let total = values.numel() as i64;
    let of_greatest = counts.f_select(0, values.f_max()?.f_int64_value(&[])?)?.f_int64_value(&[])?;
    let step = (total - of_greatest) / 255;
    if step == 0 {
        return Ok(plane.shallow_clone());
    }
    let below = counts.f_cumsum(0, Kind::Int64)?.f_sub(&counts)?;
    let table = below.f_add_scalar(step / 2)?.f_div_scalar_mode(step, "floor")?.f_clamp(0_i64, 255_i64)?;
    let equal = table.f_index_select(0, &values.f_reshape([-1])?)?;
    Ok(equal.f_reshape(plane.size().as_slice())?.f_to_kind(Kind::Float)?)
}

/// `[1, S, S]`, with the weights of ITU-R 601.
fn grey(planes: &Tensor) -> Result<Tensor> {
    let weights = Tensor::f_from_slice(&[0.299_f32, 0.587, 0.114])?.f_view([3, 1, 1])?.f_to_device(planes.device())?;
    Ok(planes.f_mul(&weights)?.f_sum_dim_intlist([0].as_slice(), true, Kind::Float)?.f_round()?)
}

/// From `none` (factor 0) to the picture (1) and beyond.
fn blend(none: &Tensor, planes: &Tensor, factor: f64) -> Result<Tensor> {
    let mixed = none.f_add(&planes.f_sub(none)?.f_mul_scalar(factor)?)?;
    Ok(mixed.f_clamp(0.0, LAST)?.f_floor()?)
}
