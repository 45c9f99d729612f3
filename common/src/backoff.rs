//! How long to wait before the next try: exponential, capped, with full jitter.
//!
//! It never sleeps and never reads a clock or a random source; the caller passes the draw.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub first_ms: u64,
    pub cap_ms: u64,
}

impl Backoff {
    pub const RECONNECT: Self = Self { first_ms: 50, cap_ms: 2_000 };

    /// The pause before try `attempt` (from 0), for a uniform `draw` in [0, 1).
    pub fn pause(self, attempt: u32, draw: f64) -> Duration {
        let ceiling_ms = self.first_ms.saturating_mul(1 << attempt.min(20)).min(self.cap_ms);
        Duration::from_millis((ceiling_ms as f64 * draw.clamp(0.0, 1.0)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap() {
        let backoff = Backoff { first_ms: 100, cap_ms: 1_000 };
        let full: Vec<u128> = (0..6).map(|n| backoff.pause(n, 1.0).as_millis()).collect();
        assert_eq!(full, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(backoff.pause(64, 0.5).as_millis(), 500);
    }
}
