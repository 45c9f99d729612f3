//! The engine's limits and deadlines, all derived from the heartbeat.
//!
//! Nothing here may be read from the environment or the clock: a driver chooses one number.

/// How often a worker shows a sign of life, and every wait and limit that follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knobs {
    /// A worker sends a sign of life so often: two for each heartbeat, so that losing one is no loss.
    pub beat_ms: u64,
    pub heartbeat_ms: u64,
    /// A worker that was not heard for so long is lost, which is noticed within two heartbeats.
    pub silence_ms: u64,
    /// A leader that is not heard for so long is replaced.
    pub takeover_ms: u64,
    /// An aborted task that has not answered by then no longer keeps its worker from other work.
    pub abort_ms: u64,
    /// A second copy of a shard's task starts at the earliest when the first is so old.
    pub speculate_ms: u64,
    /// A gang that may be smaller than its size goes on with those that are there once too few have been joined for
    /// so long: a worker that restarts, or dials a new leader, is back before.
    pub shrink_ms: u64,
    /// A map task without progress for so long is leased again. It is also the longest rest of a worker
    /// whose tasks fail.
    pub lease_ms: u64,
    /// Deadline of every collective call inside a gang.
    pub gang_timeout_ms: u64,
    /// A gang member without progress for so long ends its generation. Longer than the collectives'
    /// deadline, so that the gang's own error, which says more, comes first.
    pub gang_lease_ms: u64,
    /// An audit that needs workers fails when there has been none for so long, or when for so long every
    /// worker fails.
    pub grace_ms: u64,
    /// Tries of one shard that may end in a retryable fault before it is quarantined.
    pub max_attempts: u32,
    /// Tries of one shard that may end with the loss of their worker or lease before it is quarantined.
    pub max_losses: u32,
    /// Generations of one gang phase that may end by a fault or a loss, over all terms.
    pub max_generations: u64,
    /// Halvings of a batch before a lack of memory counts as any other fault.
    pub max_halvings: u32,
    /// Audits of one submitter that run at once; the others wait.
    pub max_running_per_submitter: u32,
    /// Audits that run at once.
    pub max_running: u32,
    /// An ended audit is kept for so long.
    pub retention_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnobsError {
    #[error("{name} is {value_ms} ms; it must exceed {below} ({below_ms} ms): choose another heartbeat")]
    Order { name: &'static str, value_ms: u64, below: &'static str, below_ms: u64 },
    #[error("{name} is 0; at least one is needed")]
    Zero { name: &'static str },
}

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

impl Knobs {
    /// Derives all others from the heartbeat, in milliseconds; an error where their order breaks
    /// (a heartbeat of 0, or one so long that they overflow).
    pub fn from_heartbeat(heartbeat_ms: u64) -> Result<Self, KnobsError> {
        let times = |n: u64| heartbeat_ms.saturating_mul(n);
        let knobs = Self {
            beat_ms: heartbeat_ms / 2,
            heartbeat_ms,
            silence_ms: times(3) / 2,
            takeover_ms: times(4),
            abort_ms: times(5),
            speculate_ms: times(8),
            shrink_ms: times(15),
            lease_ms: times(30),
            gang_timeout_ms: times(60),
            gang_lease_ms: times(120),
            grace_ms: times(300),
            max_attempts: 5,
            max_losses: 20,
            max_generations: 20,
            max_halvings: 10,
            max_running_per_submitter: 4,
            max_running: 64,
            retention_ms: 30 * DAY_MS,
        };
        knobs.check()?;
        Ok(knobs)
    }

    /// Every wait by its name, each of which must outlast the one before it.
    pub fn waits(&self) -> [(&'static str, u64); 11] {
        [
            ("beat_ms", self.beat_ms),
            ("heartbeat_ms", self.heartbeat_ms),
            ("silence_ms", self.silence_ms),
            ("takeover_ms", self.takeover_ms),
            ("abort_ms", self.abort_ms),
            ("speculate_ms", self.speculate_ms),
            ("shrink_ms", self.shrink_ms),
            ("lease_ms", self.lease_ms),
            ("gang_timeout_ms", self.gang_timeout_ms),
            ("gang_lease_ms", self.gang_lease_ms),
            ("grace_ms", self.grace_ms),
        ]
    }

    /// Each wait must outlast the shorter ones inside it, and nothing may be tried zero times.
    pub fn check(&self) -> Result<(), KnobsError> {
        let waits = self.waits();
        let pairs = std::iter::once((("zero", 0), waits[0])).chain(waits.windows(2).map(|pair| (pair[0], pair[1])));
        for ((below, below_ms), (name, value_ms)) in pairs {
            if value_ms <= below_ms {
                return Err(KnobsError::Order { name, value_ms, below, below_ms });
            }
        }
        let limits = [
            ("max_attempts", u64::from(self.max_attempts)),
            ("max_losses", u64::from(self.max_losses)),
            ("max_generations", self.max_generations),
            ("max_running_per_submitter", u64::from(self.max_running_per_submitter)),
            ("max_running", u64::from(self.max_running)),
        ];
        match limits.into_iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(KnobsError::Zero { name }),
            None => Ok(()),
        }
    }

    /// How long a worker rests after so many failures in a row: not after the first, since another task may fare
    /// better.
    pub fn rest_ms(&self, faults_in_a_row: u32) -> Option<u64> {
        let doublings = faults_in_a_row.checked_sub(2)?.min(16);
        Some(self.heartbeat_ms.saturating_mul(1 << doublings).min(self.lease_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_ordered_for_sensible_heartbeats_only() {
        assert_eq!(Knobs::from_heartbeat(1000).map(|k| k.grace_ms), Ok(300_000));
        let zero = KnobsError::Order { name: "beat_ms", value_ms: 0, below: "zero", below_ms: 0 };
        assert_eq!(Knobs::from_heartbeat(0), Err(zero));
        assert!(Knobs::from_heartbeat(u64::MAX / 2).is_err(), "the longer waits would be cut to the same value");
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        let knobs = Knobs { max_losses: 0, ..Knobs::from_heartbeat(10).expect("is ordered") };
        assert_eq!(knobs.check(), Err(KnobsError::Zero { name: "max_losses" }));
    }

    #[test]
    fn rests_double_from_the_second_failure_up_to_a_lease() {
        let knobs = Knobs::from_heartbeat(10).expect("is ordered");
        let rests: Vec<_> = (0..8).map(|n| knobs.rest_ms(n)).collect();
        assert_eq!(rests, [None, None, Some(10), Some(20), Some(40), Some(80), Some(160), Some(300)]);
    }
}
