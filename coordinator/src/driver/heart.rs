//! Who has been silent too long. Time comes in as an argument.
//!
//! It must never blame a worker for the driver's own stall: after one it waits a round.

use std::time::Duration;

use lethe_common::ids::WorkerId;
use tokio::time::Instant;

use super::sessions::Sessions;

/// Two heartbeats may be missed; the half is for the third's journey.
const PATIENCE_HEARTBEATS: f64 = 2.5;

#[derive(Debug)]
pub(super) struct Heart {
    heartbeat: Duration,
    last_check: Instant,
}

impl Heart {
    pub fn new(heartbeat_ms: u64, now: Instant) -> Self {
        Self { heartbeat: Duration::from_millis(heartbeat_ms.max(1)), last_check: now }
    }

    pub fn tick_every(&self) -> Duration {
        self.heartbeat / 2
    }

    pub fn patience(&self) -> Duration {
        self.heartbeat.mul_f64(PATIENCE_HEARTBEATS)
    }

    /// The workers to give up now.
    pub fn silent(&mut self, sessions: &Sessions, now: Instant) -> Vec<WorkerId> {
        let stalled = now.duration_since(self.last_check) > self.heartbeat;
        self.last_check = now;
        if stalled { Vec::new() } else { sessions.silent_since(now - self.patience()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> WorkerId {
        WorkerId::new("w").expect("is an id")
    }

    #[test]
    fn two_missed_heartbeats_are_forgiven_and_a_third_is_not() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut sessions = Sessions::default();
        sessions.join(worker(), start);
        let mut heart = Heart::new(100, start);
        let lost: Vec<Duration> = (1..=8)
            .map(|n| Duration::from_millis(50 * n))
            .filter(|&after| !heart.silent(&sessions, start + after).is_empty())
            .collect();
        assert_eq!(lost, [300, 350, 400].map(Duration::from_millis));
    }

    #[test]
    fn a_stall_of_the_driver_blames_nobody_until_a_round_passed() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut sessions = Sessions::default();
        sessions.join(worker(), start);
        let mut heart = Heart::new(100, start);
        assert!(heart.silent(&sessions, start + Duration::from_secs(5)).is_empty());
        assert_eq!(heart.silent(&sessions, start + Duration::from_millis(5_050)), [worker()]);
    }
}
