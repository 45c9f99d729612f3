//! How many ranks a gang forms with: all of them, or fewer once too few workers have been joined for long.
//!
//! It must never allow a size below the floor, nor fewer ranks while enough workers are joined.

use lethe_common::time::Millis;

#[derive(Debug, Clone)]
pub(crate) struct GangSize {
    full: u32,
    floor: u32,
    /// Since when fewer workers have been joined than it has ranks.
    short_since: Option<Millis>,
}

/// What its size depends on beside itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presence {
    pub now: Millis,
    /// Workers that take new work or will.
    pub joined: usize,
    pub shrink_ms: u64,
}

impl GangSize {
    pub fn new(full: u32, floor: Option<u32>) -> Self {
        Self { full, floor: floor.unwrap_or(full), short_since: None }
    }

    pub fn full(&self) -> u32 {
        self.full
    }

    /// The number of ranks where so many workers are free for them; nothing where it waits for more.
    pub fn with(&self, free: usize, here: &Presence) -> Option<u32> {
        let free = u32::try_from(free).unwrap_or(u32::MAX);
        let shrinks = self.may_shrink(here) && free >= self.floor;
        if free >= self.full { Some(self.full) } else { shrinks.then_some(free) }
    }

    /// Whether enough are joined, so that it only waits for them to be idle.
    pub fn has_enough(&self, here: &Presence) -> bool {
        let least = if self.may_shrink(here) { self.floor } else { self.full };
        here.joined >= least as usize
    }

    fn may_shrink(&self, here: &Presence) -> bool {
        self.is_short(here) && self.short_since.is_some_and(|since| here.now.since_ms(since) >= here.shrink_ms)
    }

    fn is_short(&self, here: &Presence) -> bool {
        here.joined < self.full as usize
    }

    /// A worker that comes and goes while it waits does not make it wait from the start: only a full gang does.
    pub fn note(&mut self, here: &Presence, running: Option<u32>) {
        if self.is_short(here) {
            self.short_since.get_or_insert(here.now);
        } else if running == Some(self.full) {
            self.short_since = None;
        }
    }

    /// A member went away: it may come back.
    pub fn wait_anew(&mut self, now: Millis) {
        self.short_since = Some(now);
    }

    pub fn forget_wait(&mut self) {
        self.short_since = None;
    }

    pub fn forgive_stall(&mut self, ms: u64) {
        self.short_since = self.short_since.map(|since| since.plus_ms(ms));
    }

    /// What it waits for.
    pub fn reason(&self, idle: usize, here: &Presence) -> String {
        let (full, floor, joined) = (self.full, self.floor, here.joined);
        let elastic = floor < full && self.is_short(here);
        match (elastic, joined >= floor as usize) {
            (false, _) => format!("not placed: needs {full} idle workers, {joined} joined and {idle} idle"),
            (true, false) => format!(
                "not placed: needs {full} idle workers, {joined} joined and {idle} idle; goes on with fewer once {floor} \
                 have joined"
            ),
            (true, true) if self.may_shrink(here) => {
                format!("not placed: goes on with at least {floor} of {full} ranks, {joined} joined and {idle} idle")
            }
            (true, true) => {
                let since = self.short_since.unwrap_or(here.now);
                let wait_s = here.shrink_ms.saturating_sub(here.now.since_ms(since)).div_ceil(1_000);
                format!(
                    "not placed: needs {full} idle workers, {joined} joined; will go on with {joined} in {wait_s} s"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(now: u64, joined: usize) -> Presence {
        Presence { now: Millis(now), joined, shrink_ms: 100 }
    }

    fn short_since(since: u64) -> GangSize {
        let mut size = GangSize::new(4, Some(2));
        size.note(&here(since, 3), None);
        size
    }

    #[test]
    fn it_is_full_where_it_can_and_smaller_only_after_the_wait() {
        let size = short_since(50);
        let table = [
            (4, here(60, 4), Some(4)),
            (9, here(60, 9), Some(4)),
            (3, here(149, 3), None),
            (3, here(150, 3), Some(3)),
            (2, here(150, 3), Some(2)),
            (1, here(150, 3), None),
            (3, here(150, 4), None), // the fourth is only busy
        ];
        for (free, here, expected) in table {
            assert_eq!(size.with(free, &here), expected, "{free} free, {here:?}");
        }
        assert_eq!(GangSize::new(4, None).with(3, &here(1_000, 3)), None, "its floor is its size");
    }

    #[test]
    fn only_a_full_gang_a_lost_member_and_a_stall_make_it_wait_longer() {
        let mut size = short_since(50);
        size.note(&here(100, 4), Some(3));
        size.note(&here(120, 3), Some(3));
        assert_eq!(size.with(3, &here(150, 3)), Some(3), "the fourth came and went");
        size.forgive_stall(10);
        assert_eq!((size.with(3, &here(159, 3)), size.with(3, &here(160, 3))), (None, Some(3)));
        size.wait_anew(Millis(200));
        assert_eq!((size.with(3, &here(299, 3)), size.with(3, &here(300, 3))), (None, Some(3)));
        size.note(&here(310, 4), Some(4));
        size.note(&here(320, 3), Some(4));
        assert_eq!((size.with(3, &here(419, 3)), size.with(3, &here(420, 3))), (None, Some(3)));
    }

    #[test]
    fn it_says_what_it_waits_for() {
        let size = short_since(1_000);
        let long = |joined, now| Presence { now: Millis(now), joined, shrink_ms: 15_000 };
        assert_eq!(
            size.reason(3, &long(3, 4_000)),
            "not placed: needs 4 idle workers, 3 joined; will go on with 3 in 12 s"
        );
        assert_eq!(
            size.reason(1, &long(1, 4_000)),
            "not placed: needs 4 idle workers, 1 joined and 1 idle; goes on with fewer once 2 have joined"
        );
        assert_eq!(
            size.reason(1, &long(3, 16_000)),
            "not placed: goes on with at least 2 of 4 ranks, 3 joined and 1 idle"
        );
        assert_eq!(size.reason(1, &long(4, 16_000)), "not placed: needs 4 idle workers, 4 joined and 1 idle");
    }
}
