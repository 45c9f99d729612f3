//! What follows from the coordinator's heartbeat: how often this side shows life, and how long the other may be silent.
//!
//! It must never be chosen by a worker: the coordinator's one knob rules, and a constant only until it is known.

use std::time::Duration;

/// Assumed until the first welcome.
const ASSUMED_HEARTBEAT_MS: u64 = 1_000;

/// A machine that is merely busy answers a ping within this, whatever the knob says.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pulse {
    heartbeat: Duration,
}

impl Default for Pulse {
    fn default() -> Self {
        Self::of(ASSUMED_HEARTBEAT_MS)
    }
}

impl Pulse {
    pub(super) fn of(heartbeat_ms: u64) -> Self {
        Self { heartbeat: Duration::from_millis(heartbeat_ms.max(1)) }
    }

    /// Twice a heartbeat, so that one that is lost is made up for before the coordinator counts two.
    pub(super) fn send_every(self) -> Duration {
        (self.heartbeat / 2).max(Duration::from_millis(1))
    }

    /// Between pings of the connection. With [`Self::ping_deadline`], a host that is gone is noticed in 5 heartbeats.
    pub(super) fn ping_every(self) -> Duration {
        (self.heartbeat * 2).clamp(LEAST, MOST)
    }

    pub(super) fn ping_deadline(self) -> Duration {
        (self.heartbeat * 3).clamp(LEAST * 2, MOST)
    }

    /// Between looks whether another coordinator leads: longer than an election takes.
    pub(super) fn look_every(self) -> Duration {
        (self.heartbeat * 8).clamp(LEAST, MOST)
    }

    /// Until a connection stands.
    pub(super) fn connect_deadline(self) -> Duration {
        (self.heartbeat * 5).clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_leader_is_noticed_within_five_heartbeats() {
        for (heartbeat_ms, noticed_ms) in [(1, 3_000), (1_000, 5_000), (4_000, 20_000), (600_000, 60_000)] {
            let pulse = Pulse::of(heartbeat_ms);
            assert_eq!((pulse.ping_every() + pulse.ping_deadline()).as_millis(), noticed_ms, "{heartbeat_ms}");
        }
        assert_eq!(Pulse::of(1_000).send_every(), Duration::from_millis(500));
        assert_eq!(Pulse::of(0).send_every(), Duration::from_millis(1), "a period of nothing would not end");
    }
}
