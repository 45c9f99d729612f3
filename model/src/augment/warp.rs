//! Operations that move the pixels of one picture, planes `[3, S, S]`: each takes the value of the nearest pixel of where it
//! comes from, and black from outside.
//!
//! It must never mix two pixels: what it gives are values that were there.

use tch::{Kind, Tensor};

use crate::error::Result;

/// Where a pixel comes from: (x, y) = matrix * (x, y), around an origin in pixels.
struct Map {
    matrix: [[f64; 2]; 2],
    origin: f64,
}

/// Degrees counter-clockwise around the centre.
pub(super) fn rotate(planes: &Tensor, degrees: f64) -> Result<Tensor> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let origin = planes.size()[1] as f64 / 2.0;
    moved(planes, &Map { matrix: [[cos, -sin], [sin, cos]], origin })
}

/// Rows move along by `slope` times their distance from the first.
pub(super) fn shear(planes: &Tensor, slope: f64) -> Result<Tensor> {
    moved(planes, &Map { matrix: [[1.0, slope], [0.0, 1.0]], origin: 0.0 })
}

fn moved(planes: &Tensor, map: &Map) -> Result<Tensor> {
    let side = planes.size()[1];
    let centres = Tensor::f_arange(side, (Kind::Double, planes.device()))?.f_add_scalar(0.5 - map.origin)?;
    let (x, y) = (centres.f_view([1, side])?, centres.f_view([side, 1])?);
    let from = |[by_x, by_y]: [f64; 2]| -> Result<Tensor> {
        Ok(x.f_mul_scalar(by_x)?.f_add(&y.f_mul_scalar(by_y)?)?.f_add_scalar(map.origin)?.f_floor()?)
    };
    let (column, row) = (from(map.matrix[0])?, from(map.matrix[1])?);
    let inside = |at: &Tensor| at.f_ge(0.0)?.f_logical_and(&at.f_lt(side as f64)?);
    let is_inside = inside(&column)?.f_logical_and(&inside(&row)?)?;
    let last = (side - 1) as f64;
    let place = row.f_clamp(0.0, last)?.f_mul_scalar(side as f64)?.f_add(&column.f_clamp(0.0, last)?)?;
    let place = place.f_to_kind(Kind::Int64)?.f_reshape([-1])?;
    let taken = planes.f_reshape([-1, side * side])?.f_index_select(1, &place)?.f_reshape(planes.size().as_slice())?;
    Ok(taken.f_mul(&is_inside.f_to_kind(Kind::Float)?)?)
}
