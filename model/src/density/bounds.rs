//! Lower bounds of many squared distances at once, as a product of matrices: of the features themselves, or of far fewer
//! coordinates in which most points are too far already.
//!
//! With Q an orthonormal basis of some directions and m a mean, the coordinates of x are Q'(x - m) and, as one more, the length
//! of what is left of x - m. By Cauchy and Schwarz |x - y| is at least the distance of the coordinates of x and y.
//!
//! A bound must never exceed its distance by more than `error`, whatever was rounded.

use tch::{Device, Kind, Tensor};

use crate::error::Result;

/// Directions of the sketch: those in which the reference varies most (its principal components).
pub(super) const DIRECTIONS: i64 = 64;

pub(super) struct Bounds {
    sketch: Option<Sketch>,
    /// Minus two times the points' coordinates, `[M, C]`, on their device.
    minus_two: Tensor,
    /// |y|^2 of each point's coordinates, `[M]`; infinite of a point that is not finite.
    squares: Tensor,
    /// The greatest |y|.
    longest: f64,
}

/// How features become few coordinates.
struct Sketch {
    /// `[D]` and `[D, DIRECTIONS]`, f64.
    mean: Tensor,
    basis: Tensor,
}

/// Queries' coordinates, `[B, C]`, and the length of each.
pub(super) struct Coordinates {
    rows: Tensor,
    lengths: Vec<f64>,
}

impl Bounds {
    /// Of the features as they are, `[M, D]` f32.
    pub fn whole(points: &Tensor) -> Result<Self> {
        Self::of(points, None)
    }

    /// Of their sketch.
    pub fn sketched(points: &Tensor) -> Result<Self> {
        Self::of(points, Some(Sketch::of(&finite_rows(points)?)?))
    }

    fn of(points: &Tensor, sketch: Option<Sketch>) -> Result<Self> {
        let known = finite_rows(points)?;
        let rows = coordinates(sketch.as_ref(), &known)?;
        let squares = squares(&rows)?;
        let longest = if squares.numel() == 0 { 0.0 } else { squares.f_max()?.f_double_value(&[])?.sqrt() };
        let far = squares.f_full_like(f64::INFINITY)?;
        let squares = squares.f_where_self(&is_finite(points)?, &far)?.f_to_kind(Kind::Float)?;
        Ok(Self { sketch, minus_two: rows.f_mul_scalar(-2.0)?, squares, longest })
    }

    pub fn count(&self) -> i64 {
        self.squares.size()[0]
    }

    pub fn coordinates(&self, queries: &Tensor) -> Result<Coordinates> {
        let rows = coordinates(self.sketch.as_ref(), queries)?;
        let lengths = Vec::try_from(squares(&rows)?.f_sqrt()?.f_to_device(Device::Cpu)?)?;
        Ok(Coordinates { rows, lengths })
    }

    /// |y|^2 - 2 <x, y> of each query x and each point y of a range, row by row.
    pub fn products(&self, queries: &Coordinates, (first, length): (i64, i64), into: &mut Vec<f32>) -> Result<()> {
        let points = self.minus_two.f_narrow(0, first, length)?.f_transpose(0, 1)?;
        let products = self.squares.f_narrow(0, first, length)?.f_addmm(&queries.rows, &points)?;
        let products = products.f_to_device(Device::Cpu)?.f_contiguous()?;
        into.resize(products.numel(), 0.0);
        Ok(products.f_copy_data(into, products.numel())?)
    }

    /// The product of query and point is at most this where their distance is at most `distance`.
    ///
    /// A product of C terms may be wrong by C roundings of terms whose sum is at most |x||y|, in whatever order they are added
    /// (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), and by a few for |y|^2 and the sum. Coordinates are
    /// rounded once, and the last of them is the root of a difference in f64: both together move a distance by less than 8
    /// roundings of |x| + |y|.
    pub fn limit(&self, queries: &Coordinates, row: usize, distance: f64) -> f32 {
        let (length, terms) = (queries.lengths[row], self.minus_two.size()[1] as f64);
        let unit = f64::from(f32::EPSILON) / 2.0;
        let product = (terms + 8.0) * self.longest * (self.longest + 2.0 * length);
        let rounded = 16.0 * (self.longest + length) * (self.longest + length).max(distance);
        let limit = distance * distance - length * length + unit * (product + rounded);
        // Rounded up, so that the cast takes nothing away.
        (limit as f32).next_up()
    }
}

impl Sketch {
    fn of(points: &Tensor) -> Result<Self> {
        let points = points.f_to_kind(Kind::Double)?;
        let mean = points.f_mean_dim([0_i64].as_slice(), false, Kind::Double)?;
        let centred = points.f_sub(&mean)?;
        let (_, vectors) = centred.f_transpose(0, 1)?.f_matmul(&centred)?.f_linalg_eigh("L")?;
        // Ascending: the last vary most.
        let first = (vectors.size()[1] - DIRECTIONS).max(0);
        Ok(Self { mean, basis: vectors.f_narrow(1, first, vectors.size()[1] - first)?.f_contiguous()? })
    }
}

fn coordinates(sketch: Option<&Sketch>, rows: &Tensor) -> Result<Tensor> {
    let Some(Sketch { mean, basis }) = sketch else { return Ok(rows.shallow_clone()) };
    let centred = rows.f_to_kind(Kind::Double)?.f_sub(mean)?;
    let within = centred.f_matmul(basis)?;
    let left = squares(&centred)?.f_sub(&squares(&within)?)?.f_clamp_min(0.0)?.f_sqrt()?;
    Ok(Tensor::f_cat(&[within, left.f_unsqueeze(1)?], 1)?.f_to_kind(Kind::Float)?)
}

/// Of each row, f64.
fn squares(rows: &Tensor) -> Result<Tensor> {
    Ok(rows.f_to_kind(Kind::Double)?.f_square()?.f_sum_dim_intlist([-1].as_slice(), false, Kind::Double)?)
}

fn is_finite(rows: &Tensor) -> Result<Tensor> {
    Ok(squares(rows)?.f_isfinite()?)
}

/// Zeros in the place of rows that are not finite.
fn finite_rows(rows: &Tensor) -> Result<Tensor> {
    Ok(rows.f_where_self(&is_finite(rows)?.f_unsqueeze(1)?, &rows.f_zeros_like()?)?)
}
