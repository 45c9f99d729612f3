//! One query's nearest points, found by looking closely at no more of them than their bounds require.
//!
//! It must never pass over a point whose bound allows it to be among the nearest.

/// Bounds that are compared together: most blocks have none that counts.
const BLOCK: usize = 32;

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
    /// Points that were looked at closely.
    pub looks: usize,
}

impl Search {
    pub fn new(k: usize) -> Self {
        Self { k, nearest: Vec::with_capacity(k + 1), looks: 0 }
    }

    /// The bounds of consecutive points, beginning with `first`. Each point is offered once.
    pub fn offer(&mut self, first: u32, bounds: &[f32], ask: &impl Ask) {
        if self.k == 0 {
            return;
        }
        let mut limit = self.limit(ask);
        let mut places = within(bounds, limit);
        if places.len() > self.k {
            // The likely ones first: they bring the limit down for all others.
            places.select_nth_unstable_by(self.k, |a, b| bounds[*a as usize].total_cmp(&bounds[*b as usize]));
        }
        for place in places {
            if bounds[place as usize] <= limit {
                self.look(first + place, ask);
                limit = self.limit(ask);
            }
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
        self.looks += 1;
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

/// The places of the finite values up to a limit.
fn within(values: &[f32], limit: f32) -> Vec<u32> {
    let mut places = Vec::new();
    for (block, values) in values.chunks(BLOCK).enumerate() {
        // Without an early end, so that the comparisons are made side by side.
        if values.iter().fold(false, |any, value| any | (*value <= limit)) {
            let within = |(at, value): (u32, &f32)| (*value <= limit && value.is_finite()).then_some(at);
            places.extend(((block * BLOCK) as u32..).zip(values).filter_map(within));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances that differ from their bounds by up to `slack`.
    struct Line<'a> {
        distances: &'a [f64],
        slack: f64,
        own: u32,
    }

    impl Ask for Line<'_> {
        fn distance(&self, point: u32) -> Option<f64> {
            (point != self.own).then(|| self.distances[point as usize])
        }

        fn limit(&self, distance: f64) -> f32 {
            (distance + self.slack) as f32
        }
    }

    /// As they are found in chunks, beside all of them in order.
    fn check(distances: &[f64], bounds: &[f32], (k, slack): (usize, f64)) -> usize {
        let line = Line { distances, slack, own: 2 };
        let mut search = Search::new(k);
        let chunk = bounds.len().div_ceil(3);
        for (n, bounds) in bounds.chunks(chunk).enumerate() {
            search.offer((n * chunk) as u32, bounds, &line);
        }
        let mut all: Vec<Near> =
            (0..).zip(distances).map(|(point, &distance)| Near { distance, point }).filter(|n| n.point != 2).collect();
        all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.point.cmp(&b.point)));
        all.truncate(k);
        let looks = search.looks;
        assert_eq!(search.finish(), all);
        looks
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
        search.offer(0, &[f32::NAN; 9], &Line { distances: &[0.0; 9], slack: 0.0, own: 9 });
        assert_eq!(search.finish(), []);
    }
}
