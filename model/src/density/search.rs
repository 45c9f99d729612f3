//! One query's nearest points, found by looking closely at no more of them than their bounds require.
//!
//! It must never pass over a point whose bound allows it to be among the nearest.

use std::collections::BinaryHeap;

/// Bounds that are compared together: most blocks have none that counts.
const BLOCK: usize = 32;
/// Values of a block that are compared at once.
const LANES: usize = 8;
/// Seeds beside those that are needed: a pair's own points do not count.
const SPARE: usize = 2;

/// One of a query's nearest points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    pub distance: f64,
    pub point: u32,
}

/// What a search asks of a point and of a distance.
pub(super) trait Ask {
    /// The distance itself; none of a point that does not count.
    fn distance(&self, point: u32) -> Option<f64>;
    /// No point at this distance or nearer has a greater bound.
    fn limit(&self, distance: f64) -> f32;
}

pub(super) struct Search {
    k: usize,
    /// At most k, nearest first, equals in the order of the points.
    nearest: Vec<Near>,
}

impl Search {
    pub fn new(k: usize) -> Self {
        Self { k, nearest: Vec::with_capacity(k + 1) }
    }

    /// The bounds of consecutive points, beginning with `first`. Each point is offered once.
    pub fn offer(&mut self, first: u32, bounds: &[f32], ask: &impl Ask) {
        if self.k == 0 {
            return;
        }
        let least = least_of_blocks(bounds);
        let seeds = if self.limit(ask).is_finite() { Vec::new() } else { seeds(bounds, &least, self.k + SPARE) };
        seeds.iter().for_each(|&place| self.look(first + place, ask));
        let limit = self.limit(ask);
        // The nearest first: each may bring the limit down for those behind it.
        let hopeful = within(bounds, &least, limit).filter(|hopeful| !seeds.contains(&hopeful.place));
        let mut hopeful: BinaryHeap<Hopeful> = hopeful.collect();
        while let Some(Hopeful { bound, place }) = hopeful.pop() {
            if bound > self.limit(ask) {
                return;
            }
            self.look(first + place, ask);
        }
    }

    fn limit(&self, ask: &impl Ask) -> f32 {
        match self.nearest.last() {
            Some(last) if self.nearest.len() == self.k => ask.limit(last.distance),
            Some(_) | None => f32::INFINITY,
        }
    }

    fn look(&mut self, point: u32, ask: &impl Ask) {
        let Some(distance) = ask.distance(point) else { return };
        let at = self.nearest.partition_point(|near| (near.distance, near.point) < (distance, point));
        if at < self.k {
            self.nearest.insert(at, Near { distance, point });
            self.nearest.truncate(self.k);
        }
    }

    pub fn finish(self) -> Vec<Near> {
        self.nearest
    }
}

/// The least value of each block; infinity where none is a number.
fn least_of_blocks(values: &[f32]) -> Vec<f32> {
    values.chunks(BLOCK).map(least).collect()
}

fn least(values: &[f32]) -> f32 {
    let lesser = |least: f32, value: &f32| if *value < least { *value } else { least };
    let (rows, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::INFINITY; LANES];
    for row in rows {
        for (least, value) in lanes.iter_mut().zip(row) {
            *least = lesser(*least, value);
        }
    }
    lanes.iter().chain(rest).fold(f32::INFINITY, lesser)
}

/// The least place of each of the `count` blocks that have the least values: near ones, though not the nearest of all.
fn seeds(bounds: &[f32], least: &[f32], count: usize) -> Vec<u32> {
    let mut blocks: Vec<usize> = (0..least.len()).filter(|block| least[*block].is_finite()).collect();
    if blocks.len() > count {
        blocks.select_nth_unstable_by(count, |a, b| least[*a].total_cmp(&least[*b]));
        blocks.truncate(count);
    }
    let place = |block: usize| {
        let values = bounds[block * BLOCK..].iter().take(BLOCK);
        let at = values.clone().position(|value| *value == least[block]).expect("a block has its least value");
        (block * BLOCK + at) as u32
    };
    blocks.into_iter().map(place).collect()
}

/// The finite values up to a limit, with their places.
fn within<'a>(bounds: &'a [f32], least: &'a [f32], limit: f32) -> impl Iterator<Item = Hopeful> + 'a {
    let blocks = bounds.chunks(BLOCK).zip(least).enumerate().filter(move |(_, (_, least))| **least <= limit);
    blocks.flat_map(move |(block, (values, _))| {
        let hopeful = values.iter().zip((block * BLOCK) as u32..).map(|(&bound, place)| Hopeful { bound, place });
        hopeful.filter(move |hopeful| hopeful.bound <= limit && hopeful.bound.is_finite())
    })
}

/// A point of a chunk that may be near. The greatest has the least bound.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Hopeful {
    bound: f32,
    place: u32,
}

impl Eq for Hopeful {}

impl Ord for Hopeful {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.bound.total_cmp(&self.bound)
    }
}

impl PartialOrd for Hopeful {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Distances that differ from their bounds by up to `slack`.
    struct Line<'a> {
        distances: &'a [f64],
        slack: f64,
        own: u32,
        looks: Cell<usize>,
    }

    impl Ask for Line<'_> {
        fn distance(&self, point: u32) -> Option<f64> {
            self.looks.set(self.looks.get() + 1);
            (point != self.own).then(|| self.distances[point as usize])
        }

        fn limit(&self, distance: f64) -> f32 {
            (distance + self.slack) as f32
        }
    }

    /// As they are found in chunks, beside all of them in order.
    fn check(distances: &[f64], bounds: &[f32], (k, slack): (usize, f64)) -> usize {
        let line = Line { distances, slack, own: 2, looks: Cell::default() };
        let mut search = Search::new(k);
        let chunk = bounds.len().div_ceil(3);
        for (n, bounds) in bounds.chunks(chunk).enumerate() {
            search.offer((n * chunk) as u32, bounds, &line);
        }
        let mut all: Vec<Near> =
            (0..).zip(distances).map(|(point, &distance)| Near { distance, point }).filter(|n| n.point != 2).collect();
        all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.point.cmp(&b.point)));
        all.truncate(k);
        assert_eq!(search.finish(), all);
        line.looks.get()
    }

    #[test]
    fn the_nearest_are_found_whatever_their_order() {
        for step in [7, 311, 997, 1_999] {
            let distances: Vec<f64> = (0..2_000).map(|n| f64::from((n * step) % 2_000)).collect();
            let bounds: Vec<f32> = distances.iter().map(|d| *d as f32).collect();
            let looks = check(&distances, &bounds, (16, 0.0));
            assert!(looks < 100, "{looks} of 2000 points were looked at closely");
            // Bounds may lie anywhere below, or above by the slack.
            let bounds: Vec<f32> =
                distances.iter().enumerate().map(|(n, d)| (d + 5.0 - (n * n % 400) as f64) as f32).collect();
            check(&distances, &bounds, (16, 5.0));
        }
    }

    #[test]
    fn ties_go_to_the_first_and_what_is_no_number_is_not_near() {
        check(&[1.0; 300], &[1.0; 300], (3, 0.0));
        check(&[1.0; 300], &[0.0; 300], (0, 0.0));
        check(&[3.0, 1.0, 0.0, 2.0], &[3.0, 1.0, 0.0, 2.0], (16, 0.0));
        let mut search = Search::new(3);
        search.offer(0, &[f32::NAN; 9], &Line { distances: &[0.0; 9], slack: 0.0, own: 9, looks: Cell::default() });
        assert_eq!(search.finish(), []);
    }
}
