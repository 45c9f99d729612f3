//! Who has been silent too long, and whether the driver itself stood still. Time comes in as an argument.
//!
//! It must never blame a worker for the driver's own stall: after one it waits a round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lethe_common::ids::WorkerId;
use lethe_engine::Knobs;
use tokio::time::Instant;

use super::clock::as_ms;
use super::sessions::Sessions;

/// When a session was last heard, which its own task notes: the driver may be waiting for its store.
#[derive(Debug, Clone)]
pub struct Heard {
    base: Instant,
    at_ms: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn at(now: Instant) -> Self {
        Self { base: now, at_ms: Arc::default() }
    }

    pub fn note(&self, now: Instant) {
        self.at_ms.fetch_max(as_ms(now.duration_since(self.base)), Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.base + Duration::from_millis(self.at_ms.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(super) struct Heart {
    heartbeat: Duration,
    silence: Duration,
    last_check: Instant,
}

/// What a look at the clock found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// The workers to give up now.
    Silent(Vec<WorkerId>),
    /// Nobody was looking for so long.
    Stalled(Duration),
}

impl Heart {
    pub fn new(knobs: &Knobs, now: Instant) -> Self {
        let (heartbeat, silence) = (Duration::from_millis(knobs.heartbeat_ms), Duration::from_millis(knobs.silence_ms));
        Self { heartbeat, silence, last_check: now }
    }

    /// Often enough that a loss is noticed within two heartbeats.
    pub fn tick_every(&self) -> Duration {
        (self.heartbeat / 4).max(Duration::from_millis(1))
    }

    pub fn silence(&self) -> Duration {
        self.silence
    }

    pub fn look(&mut self, sessions: &Sessions, now: Instant) -> Round {
        let since = now.duration_since(self.last_check);
        self.last_check = now;
        if since > self.heartbeat {
            Round::Stalled(since)
        } else {
            Round::Silent(sessions.silent_since(now - self.silence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sessions::fixture::join;
    use super::*;

    fn worker() -> WorkerId {
        WorkerId::new("w").expect("is an id")
    }

    fn heart(now: Instant) -> Heart {
        Heart::new(&Knobs::from_heartbeat(100).expect("is ordered"), now)
    }

    #[test]
    fn a_loss_is_noticed_within_two_heartbeats_and_not_before_one_and_a_half() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut sessions = Sessions::default();
        join(&mut sessions, "w", start);
        let mut heart = heart(start);
        assert_eq!(heart.tick_every(), Duration::from_millis(25));
        let silent = |n: u64| {
            let after = Duration::from_millis(25 * n);
            (heart.look(&sessions, start + after) == Round::Silent(vec![worker()])).then_some(after.as_millis())
        };
        assert_eq!((1..=8).filter_map(silent).next(), Some(175));
    }

    #[test]
    fn a_stall_of_the_driver_blames_nobody_until_a_round_passed() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut sessions = Sessions::default();
        join(&mut sessions, "w", start);
        let mut heart = heart(start);
        let stall = Duration::from_secs(5);
        assert_eq!(heart.look(&sessions, start + stall), Round::Stalled(stall));
        assert_eq!(heart.look(&sessions, start + stall + Duration::from_millis(50)), Round::Silent(vec![worker()]));
    }
}
