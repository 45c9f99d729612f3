//! The reference points, and the nearest of them to many queries: products of chunks bound, differences in f64 decide.
//!
//! It must never hold more than one chunk of products, whatever the number of queries and points.

use tch::{Device, Tensor};

use super::bounds::{Bounds, Coordinates, DIRECTIONS};
use super::search::{Ask, Near, Search};
use crate::error::Result;

/// Queries and points of one product: 2 MiB of f32, which stay in a core's cache until they are read.
const QUERIES_AT_ONCE: i64 = 256;
const POINTS_AT_ONCE: i64 = 2048;
/// Sums are kept in so many parts, so that they need not wait for each other.
const LANES: usize = 8;

/// Points that try a sketch out.
const TRIED: usize = 128;
/// A close look costs about as much as this many products of whole features.
const LOOK_IN_PRODUCTS: usize = 16;

pub(super) struct Points {
    bounds: Bounds,
    /// The points row by row, for exact distances.
    rows: Vec<f32>,
    width: usize,
}

impl Points {
    /// Of `[M, D]` f32. A point that is not finite is infinitely far from every query. What is near does not depend on `k`, but
    /// how it is best found does.
    pub fn of(points: &Tensor, k: usize) -> Result<Self> {
        let (rows, width) = (rows(points)?, points.size()[1] as usize);
        let whole = Self { bounds: Bounds::whole(points)?, rows, width };
        if (width as i64) < 4 * DIRECTIONS || whole.count() < 8 * TRIED {
            return Ok(whole);
        }
        let sketched = Self { bounds: Bounds::sketched(points)?, ..whole };
        match sketched.looks(points, k)? * LOOK_IN_PRODUCTS {
            cheap if cheap < sketched.count() => Ok(sketched),
            _ => Ok(Self { bounds: Bounds::whole(points)?, ..sketched }),
        }
    }

    /// Close looks that a point among these takes, on average.
    fn looks(&self, points: &Tensor, k: usize) -> Result<usize> {
        let step = self.count() / TRIED;
        let tried: Vec<i64> = (0..TRIED).map(|n| (n * step) as i64).collect();
        let own: Vec<[u32; 1]> = tried.iter().map(|point| [(*point as usize % self.pairs()) as u32]).collect();
        let chunk = points.f_index_select(0, &Tensor::f_from_slice(&tried)?.f_to_device(points.device())?)?;
        let searches = self.search(&chunk, &own, k)?;
        Ok(searches.iter().map(|search| search.looks).sum::<usize>() / TRIED)
    }

    pub fn count(&self) -> usize {
        self.bounds.count() as usize
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
            nearest.extend(self.search(chunk, own, k)?.into_iter().map(Search::finish));
        }
        Ok(nearest)
    }

    /// The searches of a chunk of queries, through all points.
    fn search<O: AsRef<[u32]>>(&self, queries: &Tensor, own: &[O], k: usize) -> Result<Vec<Search>> {
        let (rows, coordinates) = (rows(queries)?, self.bounds.coordinates(queries)?);
        let mut searches: Vec<Search> = own.iter().map(|_| Search::new(k)).collect();
        let mut products = Vec::new();
        for first in (0..self.count() as i64).step_by(POINTS_AT_ONCE as usize) {
            let length = POINTS_AT_ONCE.min(self.count() as i64 - first);
            self.bounds.products(&coordinates, (first, length), &mut products)?;
            for (row, (search, bounds)) in searches.iter_mut().zip(products.chunks(length as usize)).enumerate() {
                let features = &rows[row * self.width..(row + 1) * self.width];
                let query = Query { points: self, coordinates: &coordinates, row, features, own: own[row].as_ref() };
                search.offer(first as u32, bounds, &query);
            }
        }
        Ok(searches)
    }

    fn row(&self, point: u32) -> &[f32] {
        let at = point as usize * self.width;
        &self.rows[at..at + self.width]
    }
}

/// One row of a chunk, among the points.
struct Query<'a> {
    points: &'a Points,
    coordinates: &'a Coordinates,
    row: usize,
    features: &'a [f32],
    own: &'a [u32],
}

impl Ask for Query<'_> {
    fn distance(&self, point: u32) -> Option<f64> {
        let is_own = self.own.contains(&(point % self.points.pairs() as u32));
        (!is_own).then(|| distance(self.features, self.points.row(point)))
    }

    fn limit(&self, distance: f64) -> f32 {
        self.points.bounds.limit(self.coordinates, self.row, distance)
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
