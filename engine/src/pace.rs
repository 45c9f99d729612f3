//! How fast a map phase goes, from its commits alone.
//!
//! It must never be stored: a new leader measures anew.

use lethe_common::time::Millis;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    since: Millis,
    ended: u64,
    /// From lease to commit, summed over all that committed.
    spent_ms: u64,
    pub last: Millis,
}

impl Pace {
    pub fn begin(now: Millis) -> Self {
        Self { since: now, ended: 0, spent_ms: 0, last: now }
    }

    pub fn note(&mut self, now: Millis, spent_ms: u64) {
        self.ended += 1;
        self.spent_ms = self.spent_ms.saturating_add(spent_ms);
        self.last = now;
    }

    /// From when on a task is slow: half as long again as the mean.
    pub fn slow_ms(&self) -> Option<u64> {
        Some(self.spent_ms.checked_div(self.ended)?.saturating_mul(3) / 2)
    }

    /// When so many more will have ended at the rate so far.
    pub fn eta(&self, remaining: u64) -> Option<Millis> {
        let took_ms = u128::from(self.last.since_ms(self.since));
        let left_ms = (took_ms * u128::from(remaining)).checked_div(u128::from(self.ended))?;
        Some(self.last.plus_ms(u64::try_from(left_ms).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_tell_before_the_first_commit() {
        let pace = Pace::begin(Millis(5));
        assert_eq!((pace.eta(10), pace.slow_ms()), (None, None));
    }

    #[test]
    fn what_is_left_takes_as_long_as_what_was_done() {
        let mut pace = Pace::begin(Millis(1_000));
        pace.note(Millis(1_500), 400);
        pace.note(Millis(2_000), 600);
        assert_eq!((pace.eta(6), pace.slow_ms()), (Some(Millis(5_000)), Some(750)));
    }
}
