//! The driver's time: the wall clock as it was at the start, and from there on only forward.
//!
//! It must never jump: a clock that is set while an audit runs would expire every lease.

use std::time::Duration;

use lethe_common::time::Millis;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    wall: Millis,
    since: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { wall: Millis::now(), since: Instant::now() }
    }

    pub fn now(&self) -> Millis {
        self.wall.plus_ms(as_ms(self.since.elapsed()))
    }
}

pub(super) fn as_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
