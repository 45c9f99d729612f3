//! The reference points, and the nearest of them to many queries: products of chunks choose, differences in f64 decide.
//!
//! It must never hold more than one chunk of products, whatever the number of queries and points.

use tch::{Device, Kind, Tensor};

use super::shortlist::Shortlist;
use crate::error::Result;

/// Queries and points of one product: 2 MiB of f32, which stay in a core's cache until they are read.
const QUERIES_AT_ONCE: i64 = 256;
const POINTS_AT_ONCE: i64 = 2048;
/// Sums are kept in so many parts, so that they need not wait for each other.
const LANES: usize = 8;

/// One of a query's nearest points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    pub distance: f64,
    pub point: u32,
}

pub(super) struct Points {
    /// Minus two times the points, `[M, D]`, on their device.
    minus_two: Tensor,
    /// |y|^2 of each, `[M]`.
    squares: Tensor,
    /// The points row by row, for exact distances.
    rows: Vec<f32>,
    width: usize,
    /// The greatest |y|.
    longest: f64,
}

impl Points {
    /// Of `[M, D]` f32.
    pub fn of(points: &Tensor) -> Result<Self> {
        let doubles = points.f_to_kind(Kind::Double)?.f_square()?;
        let squares = doubles.f_sum_dim_intlist([-1].as_slice(), false, Kind::Double)?;
        let longest = if points.size()[0] == 0 { 0.0 } else { squares.f_max()?.f_double_value(&[])?.sqrt() };
        Ok(Self {
            minus_two: points.f_mul_scalar(-2.0)?,
            squares: squares.f_to_kind(Kind::Float)?,
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
        for (chunk, own) in queries.f_split(QUERIES_AT_ONCE, 0)?.iter().zip(own.chunks(QUERIES_AT_ONCE as usize)) {
            let rows = rows(chunk)?;
            let lists = self.shortlists(chunk, &rows, own, k)?;
            let exact = |(list, row)| self.decide(list, row, k);
            nearest.extend(lists.into_iter().zip(rows.chunks(self.width)).map(exact));
        }
        Ok(nearest)
    }

    /// Who may be among the `k` nearest to each of a chunk of queries.
    fn shortlists<O: AsRef<[u32]>>(
        &self,
        queries: &Tensor,
        rows: &[f32],
        own: &[O],
        k: usize,
    ) -> Result<Vec<Shortlist>> {
        let mut lists: Vec<Shortlist> =
            rows.chunks(self.width).map(|row| Shortlist::new(k, self.rounding_error(row))).collect();
        let mut products = Vec::new();
        for first in (0..self.count() as i64).step_by(POINTS_AT_ONCE as usize) {
            let length = POINTS_AT_ONCE.min(self.count() as i64 - first);
            self.products(queries, (first, length), &mut products)?;
            for ((list, values), own) in lists.iter_mut().zip(products.chunks(length as usize)).zip(own) {
                list.offer(first as u32, values, |point| own.as_ref().contains(&(point % self.pairs() as u32)));
            }
        }
        Ok(lists)
    }

    /// |y|^2 - 2 <x, y> of each query x and each point y of a range: their squared distance but for |x|^2.
    fn products(&self, queries: &Tensor, (first, length): (i64, i64), into: &mut Vec<f32>) -> Result<()> {
        let points = self.minus_two.f_narrow(0, first, length)?.f_transpose(0, 1)?;
        let products = self.squares.f_narrow(0, first, length)?.f_addmm(queries, &points)?;
        let products = products.f_to_device(Device::Cpu)?.f_contiguous()?;
        into.resize(products.numel(), 0.0);
        Ok(products.f_copy_data(into, products.numel())?)
    }

    /// What a product may be wrong by, at most: D roundings of terms whose sum is at most |x||y|, in whatever order they
    /// are added (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), and a few for |y|^2 and the sum.
    fn rounding_error(&self, query: &[f32]) -> f64 {
        let length = query.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        let unit = f64::from(f32::EPSILON) / 2.0;
        (self.width as f64 + 8.0) * unit * self.longest * (self.longest + 2.0 * length)
    }

    fn decide(&self, list: Shortlist, query: &[f32], k: usize) -> Vec<Near> {
        let exact = |point: u32| Near { distance: distance(query, self.row(point)), point };
        let mut near: Vec<Near> = list.finish().map(exact).collect();
        near.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.point.cmp(&b.point)));
        near.truncate(k);
        near
    }

    fn row(&self, point: u32) -> &[f32] {
        let at = point as usize * self.width;
        &self.rows[at..at + self.width]
    }
}

/// |x - y| in f64, always added in the same order.
fn distance(x: &[f32], y: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            let difference = f64::from(x[lane]) - f64::from(y[lane]);
            sums[lane] += difference * difference;
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum();
    (sums.iter().sum::<f64>() + rest).sqrt()
}

/// Row by row, from any device.
fn rows(matrix: &Tensor) -> Result<Vec<f32>> {
    Ok(Vec::<f32>::try_from(&matrix.f_to_device(Device::Cpu)?.f_contiguous()?.f_reshape([-1])?)?)
}
