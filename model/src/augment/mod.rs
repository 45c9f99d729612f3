//! Changes to pictures that fine-tuning remedies train on: AutoAugment's operations, noise, and erased squares.
//!
//! It must never draw: what is done to which picture is an argument, so that a picture's view never depends on what it is
//! computed beside.

mod policy;
mod tone;
mod warp;

use tch::{Kind, Tensor};

use crate::error::{ModelError, Result};

pub use policy::{POLICIES, Step, policy};

/// What AutoAugment's policies for ImageNet are made of (Cubuk et al., CVPR 2019), with PIL's meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// Columns move by this much a row; what comes in from outside is black.
    ShearX(f64),
    /// Degrees counter-clockwise around the centre; what comes in from outside is black.
    Rotate(f64),
    /// The highest bits that are kept, 1 to 8.
    Posterize(u32),
    /// Values from here on are inverted.
    Solarize(f64),
    /// 0 is grey, 1 the picture.
    Color(f64),
    /// 0 is the picture's mean grey, 1 the picture.
    Contrast(f64),
    /// 0 is smoothed, 1 the picture.
    Sharpness(f64),
    /// Each channel is stretched over the whole range.
    AutoContrast,
    /// Each channel's values become equally frequent.
    Equalize,
    Invert,
}

/// Each picture after its operations, one after the other: bytes `[B, S, S, 3]` to the same.
///
/// # Errors
/// `WrongInput` where the operations are not those of as many pictures.
pub fn apply(images: &Tensor, operations: &[Vec<Operation>]) -> Result<Tensor> {
    let rows = images.size().first().map_or(0, |rows| *rows);
    if rows as usize != operations.len() {
        let want = format!("operations of {rows} pictures");
        return Err(ModelError::WrongInput { what: "the operations", have: vec![operations.len() as i64], want });
    }
    if rows == 0 {
        return Ok(images.shallow_clone());
    }
    let views = (0..rows).zip(operations).map(|(row, operations)| view(&images.f_select(0, row)?, operations));
    Ok(Tensor::f_stack(&views.collect::<Result<Vec<_>>>()?, 0)?)
}

fn view(image: &Tensor, operations: &[Operation]) -> Result<Tensor> {
    if operations.is_empty() {
        return Ok(image.shallow_clone());
    }
    // Whole numbers from 0 to 255 between operations too, as bytes would be.
    let mut planes = image.f_permute([2, 0, 1])?.f_to_kind(Kind::Float)?;
    for operation in operations {
        planes = match *operation {
            Operation::ShearX(slope) => warp::shear(&planes, slope)?,
            Operation::Rotate(degrees) => warp::rotate(&planes, degrees)?,
            Operation::Posterize(bits) => tone::posterize(&planes, bits)?,
            Operation::Solarize(from) => tone::solarize(&planes, from)?,
            Operation::Color(factor) => tone::color(&planes, factor)?,
            Operation::Contrast(factor) => tone::contrast(&planes, factor)?,
            Operation::Sharpness(factor) => tone::sharpness(&planes, factor)?,
            Operation::AutoContrast => tone::auto_contrast(&planes)?,
            Operation::Equalize => tone::equalize(&planes)?,
            Operation::Invert => tone::invert(&planes)?,
        };
    }
    Ok(planes.f_permute([1, 2, 0])?.f_to_kind(Kind::Uint8)?)
}

/// Pictures of bytes `[B, S, S, 3]` with noise of the same shape, where 1 is the whole range: values from 0 to 255, f32.
pub fn noisy(images: &Tensor, noise: &Tensor) -> Result<Tensor> {
    Ok(images.f_to_kind(Kind::Float)?.f_add(&noise.f_mul_scalar(255.0)?)?.f_clamp(0.0, 255.0)?)
}

/// A square of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Square {
    pub top: i64,
    pub left: i64,
    pub side: i64,
}

/// Normalised pixels `[B, 3, S, S]`, a square of each picture set to 0 where there is one: the mean of all pictures.
pub fn erased(pixels: &Tensor, squares: &[Option<Square>]) -> Result<Tensor> {
    let pixels = pixels.f_detach_copy()?;
    for (row, square) in (0..).zip(squares) {
        let Some(Square { top, left, side }) = *square else { continue };
        let _ = pixels.f_select(0, row)?.f_narrow(1, top, side)?.f_narrow(2, left, side)?.f_fill_(0.0)?;
    }
    Ok(pixels)
}
