//! Who may be among the k nearest, from values that are right but for a rounding error.
//!
//! It must never leave out a point that could be: whatever is within twice the error of the k-th value stays.

/// Values that are looked at together: most blocks have none that counts.
const BLOCK: usize = 32;
/// Points that wait before the limit is tightened, per neighbour wanted.
const SLACK: usize = 3;

pub(super) struct Shortlist {
    k: usize,
    error: f64,
    /// No value above it can belong.
    limit: f32,
    /// Points that are held before the limit is tightened.
    room: usize,
    found: Vec<(f32, u32)>,
}

impl Shortlist {
    pub fn new(k: usize, error: f64) -> Self {
        let room = (k * SLACK).max(1);
        Self { k, error, limit: f32::INFINITY, room, found: Vec::with_capacity(room) }
    }

    /// The values of consecutive points, beginning with `first`.
    pub fn offer(&mut self, first: u32, values: &[f32], is_own: impl Fn(u32) -> bool) {
        for (block, values) in values.chunks(BLOCK).enumerate() {
            let limit = self.limit;
            // Without an early end, so that the comparisons are made side by side.
            if values.iter().fold(false, |any, value| any | (*value <= limit)) {
                self.take(first + (block * BLOCK) as u32, values, &is_own);
            }
        }
    }

    fn take(&mut self, first: u32, values: &[f32], is_own: &impl Fn(u32) -> bool) {
        for (at, &value) in values.iter().enumerate() {
            let point = first + at as u32;
            if value <= self.limit && !is_own(point) {
                self.found.push((value, point));
                if self.found.len() > self.room {
                    self.tighten();
                }
            }
        }
    }

    /// Drops what lies more than twice the error above the k-th value: both may be wrong by one.
    fn tighten(&mut self) {
        if self.k == 0 || self.found.len() <= self.k {
            return;
        }
        let (_, kth, _) = self.found.select_nth_unstable_by(self.k - 1, |a, b| a.0.total_cmp(&b.0));
        self.limit = (f64::from(kth.0) + 2.0 * self.error) as f32;
        self.found.retain(|(value, _)| *value <= self.limit);
        self.room = self.room.max(2 * self.found.len());
    }

    pub fn finish(mut self) -> impl Iterator<Item = u32> {
        self.tighten();
        self.found.into_iter().map(|(_, point)| point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: &[f32], k: usize, error: f64) -> Vec<u32> {
        let mut list = Shortlist::new(k, error);
        // In two parts, as chunks come.
        let (first, second) = values.split_at(values.len() / 3);
        list.offer(0, first, |point| point == 2);
        list.offer(first.len() as u32, second, |point| point == 2);
        let mut kept: Vec<u32> = list.finish().collect();
        kept.sort_unstable();
        kept
    }

    #[test]
    fn the_least_values_stay_whatever_their_order() {
        for step in [7, 311, 997, 1_999] {
            let values: Vec<f32> = (0..2_000).map(|n| ((n * step) % 2_000) as f32).collect();
            let own = values[2];
            let least = |n: &u32| values[*n as usize] != own && values[*n as usize] < 16.0 + f32::from(own < 16.0);
            let expected: Vec<u32> = (0..2_000).filter(least).collect();
            assert_eq!(kept(&values, 16, 0.0), expected, "step {step}");
        }
    }

    #[test]
    fn whatever_the_error_could_hide_stays() {
        let values: Vec<f32> = (0..500).map(|n| (500 - n) as f32).collect();
        assert_eq!(kept(&values, 3, 5.0), (487..500).collect::<Vec<u32>>(), "3 and 2 times 5 above them");
        assert_eq!(kept(&[1.0; 300], 3, 0.0).len(), 299, "ties are not for this to break");
        assert_eq!(kept(&[f32::NAN; 9], 3, 0.0).len(), 0);
    }
}
