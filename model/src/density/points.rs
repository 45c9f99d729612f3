//! The reference points, and the nearest of them to many queries: products of chunks bound, differences in f64 decide.
//!
//! It must never hold more than one chunk of products, whatever the number of queries and points.

use tch::{Device, Kind, Tensor};

use super::distance::{distance, length};
use super::search::{Ask, Near, Search};
use crate::error::Result;

/// Queries and points of one product: 2 MiB of f32, which stay in a core's cache until they are read.
const QUERIES_AT_ONCE: i64 = 256;
const POINTS_AT_ONCE: i64 = 2048;
/// Half the distance of two neighbouring bf16 numbers, relative to them.
const BF16_UNIT: f64 = 1.0 / 512.0;

pub(super) struct Points {
    /// Minus two times the points, `[M, D]`, on their device: in f32, or in bf16 where that is worth it.
    minus_two: Tensor,
    /// |y|^2 of each, `[M]`; infinite of a point that is not finite.
    squares: Tensor,
    /// The points row by row, for exact distances.
    rows: Vec<f32>,
    width: usize,
    /// The greatest |y|.
    longest: f64,
}

impl Points {
    /// Of `[M, D]` f32. A point that is not finite is infinitely far from every query.
    pub fn of(points: &Tensor) -> Result<Self> {
        Self::in_kind(points, product_kind(points.device()))
    }

    fn in_kind(points: &Tensor, kind: Kind) -> Result<Self> {
        let doubles = points.f_to_kind(Kind::Double)?.f_square()?;
        let squares = doubles.f_sum_dim_intlist([-1].as_slice(), false, Kind::Double)?;
        let finite = squares.f_isfinite()?;
        let zeros = squares.f_zeros_like()?;
        let lengths = squares.f_where_self(&finite, &zeros)?;
        let longest = if points.size()[0] == 0 { 0.0 } else { lengths.f_max()?.f_double_value(&[])?.sqrt() };
        let known = points.f_where_self(&finite.f_unsqueeze(1)?, &points.f_zeros_like()?)?;
        Ok(Self {
            minus_two: known.f_mul_scalar(-2.0)?.f_to_kind(kind)?,
            squares: squares.f_where_self(&finite, &zeros.f_full_like(f64::INFINITY)?)?.f_to_kind(Kind::Float)?,
            rows: rows(points)?,
            width: points.size()[1] as usize,
            longest,
        })
    }

    pub fn count(&self) -> usize {
        self.rows.len().checked_div(self.width).unwrap_or(0)
    }

    /// Points come in pairs, image n and text N + n.
    pub fn pairs(&self) -> usize {
        self.count() / 2
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// The `k` nearest points to each query `[B, D]` f32, nearest first and equals in the order of the points; fewer where
    /// there are fewer, once the row's own pairs are left out.
    pub fn nearest<O: AsRef<[u32]>>(&self, queries: &Tensor, own: &[O], k: usize) -> Result<Vec<Vec<Near>>> {
        let mut nearest = Vec::with_capacity(own.len());
        let mut products = Products::default();
        for (chunk, own) in queries.f_split(QUERIES_AT_ONCE, 0)?.iter().zip(own.chunks(QUERIES_AT_ONCE as usize)) {
            let rows = rows(chunk)?;
            let queried = rows.chunks(self.width).zip(own).map(|(row, own)| Query::of(self, row, own.as_ref()));
            let mut searches: Vec<(Query<'_>, Search)> = queried.map(|query| (query, Search::new(k))).collect();
            for first in (0..self.count() as i64).step_by(POINTS_AT_ONCE as usize) {
                let length = POINTS_AT_ONCE.min(self.count() as i64 - first);
                let bounds = products.of(self, chunk, (first, length))?;
                for ((query, search), bounds) in searches.iter_mut().zip(bounds.chunks(length as usize)) {
                    search.offer(first as u32, bounds, query);
                }
            }
            nearest.extend(searches.into_iter().map(|(_, search)| search.finish()));
        }
        Ok(nearest)
    }

    fn row(&self, point: u32) -> &[f32] {
        let at = point as usize * self.width;
        &self.rows[at..at + self.width]
    }
}

/// The last chunk of products. Its memory is used for the next: fresh memory costs a page fault every thousand products.
#[derive(Default)]
struct Products {
    on_device: Option<Tensor>,
    rows: Vec<f32>,
}

impl Products {
    /// |y|^2 - 2 <x, y> of each query x and each point y of a range, row by row: their squared distance but for |x|^2.
    fn of(&mut self, points: &Points, queries: &Tensor, (first, length): (i64, i64)) -> Result<&[f32]> {
        let shape = [queries.size()[0], length];
        let fits = self.on_device.take().filter(|last| last.size() == shape);
        let out = fits.map_or_else(|| Tensor::f_empty(shape, (Kind::Float, queries.device())), Ok)?;
        let range = points.minus_two.f_narrow(0, first, length)?.f_transpose(0, 1)?;
        let squares = points.squares.f_narrow(0, first, length)?;
        let out = match range.kind() {
            Kind::Float => squares.f_addmm_out(&out, queries, &range)?,
            half => queries.f_to_kind(half)?.f_mm(&range)?.f_add_out(&out, &squares)?,
        };
        self.rows.resize(out.numel(), 0.0);
        out.f_to_device(Device::Cpu)?.f_copy_data(&mut self.rows, out.numel())?;
        self.on_device = Some(out);
        Ok(&self.rows)
    }
}

/// One query among the points.
struct Query<'a> {
    points: &'a Points,
    row: &'a [f32],
    own: &'a [u32],
    /// |x|^2, and what a product may be wrong by, at most.
    square: f64,
    error: f64,
}

impl<'a> Query<'a> {
    /// A product is D roundings of terms whose sum is at most |x||y|, in whatever order they are added (Higham, Accuracy and
    /// Stability of Numerical Algorithms, 3.1), and a few for |y|^2 and the sum, away from what it stands for. In bf16 both
    /// factors and the result are rounded once more, to 8 bits.
    fn of(points: &'a Points, row: &'a [f32], own: &'a [u32]) -> Self {
        let (length, longest) = (length(row), points.longest);
        let unit = f64::from(f32::EPSILON) / 2.0;
        let half = if points.minus_two.kind() == Kind::Float { 0.0 } else { 3.1 * BF16_UNIT * 2.0 * longest * length };
        let error = (points.width as f64 + 8.0) * unit * longest * (longest + 2.0 * length) + half;
        Self { points, row, own, square: length * length, error }
    }
}

impl Ask for Query<'_> {
    fn distance(&self, point: u32) -> Option<f64> {
        let is_own = self.own.contains(&(point % self.points.pairs() as u32));
        (!is_own).then(|| distance(self.row, self.points.row(point)))
    }

    fn limit(&self, distance: f64) -> f32 {
        // Rounded up, so that the cast takes nothing away.
        ((distance * distance - self.square + self.error) as f32).next_up()
    }
}

/// bf16 where the processor multiplies tiles of it, several times faster than f32; its coarser bounds cost a few more
/// looks. A GPU may add up in bf16 too, which no bound covers.
fn product_kind(device: Device) -> Kind {
    if device == Device::Cpu && has_amx_bf16() { Kind::BFloat16 } else { Kind::Float }
}

#[cfg(target_arch = "x86_64")]
fn has_amx_bf16() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const LEAF: u32 = 7;
    // Leaf 7, EDX bit 22 (Intel, Software Developer's Manual, CPUID).
    __cpuid(0).eax >= LEAF && __cpuid_count(LEAF, 0).edx >> 22 & 1 == 1
}

#[cfg(not(target_arch = "x86_64"))]
fn has_amx_bf16() -> bool {
    false
}

/// Row by row, from any device.
fn rows(matrix: &Tensor) -> Result<Vec<f32>> {
    Ok(Vec::<f32>::try_from(&matrix.f_to_device(Device::Cpu)?.f_contiguous()?.f_reshape([-1])?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In clumps of many sizes, one of them of duplicates.
    fn features(rows: i64, phase: f64) -> Tensor {
        let value = |i: i64| {
            let (row, column) = (i / 40, i % 40);
            let spread = f64::from(row as u32 % 9) / 4.0;
            (((row % 13) * (column + 1)) as f64).sin() * 3.0 + spread * (1.7 * i as f64 + phase).sin()
        };
        Tensor::from_slice(&(0..rows * 40).map(value).collect::<Vec<f64>>()).view([rows, 40]).to_kind(Kind::Float)
    }

    #[test]
    fn the_kind_of_a_product_changes_no_neighbour() {
        let (points, queries) = (features(3_000, 0.3), features(300, 0.3 + 1e-3));
        let own: Vec<[u32; 1]> = (0..300).map(|query| [query * 5]).collect();
        let near = [Kind::Float, Kind::BFloat16]
            .map(|kind| Points::in_kind(&points, kind).and_then(|points| points.nearest(&queries, &own, 16)));
        let [float, half] = near.map(|near| near.expect("finds"));
        assert_eq!(float, half);
        let rows = super::rows(&points).expect("are rows");
        let (x, first) = (&super::rows(&queries).expect("are rows")[..40], &float[0]);
        let mut all: Vec<f64> =
            rows.chunks(40).enumerate().filter(|(n, _)| n % 1_500 != 0).map(|(_, y)| distance(x, y)).collect();
        all.sort_by(f64::total_cmp);
        assert_eq!(first.iter().map(|near| near.distance).collect::<Vec<_>>(), all[..16]);
    }
}
