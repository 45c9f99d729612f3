//! The engine's limits and deadlines, all derived from the heartbeat.
//!
//! Nothing here may be read from the environment or the clock: a driver chooses one number.

/// How often a worker shows a sign of life, and every wait and limit that follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knobs {
    pub heartbeat_ms: u64,
    /// An aborted task that has not answered by then no longer keeps its worker from other work.
    pub abort_ms: u64,
    /// A map task without progress for so long is leased again.
    pub lease_ms: u64,
    /// Deadline of every collective call inside a gang.
    pub gang_timeout_ms: u64,
    /// A gang member without progress for so long ends its generation. Longer than the collectives'
    /// deadline, so that the gang's own error, which says more, comes first.
    pub gang_lease_ms: u64,
    /// An audit that needs workers fails when there has been none for so long.
    pub grace_ms: u64,
    /// Tries of one task that may end in a retryable fault.
    pub max_attempts: u32,
    /// Tries of one task that may end with the loss of their worker or lease.
    pub max_losses: u32,
    /// Generations one gang phase may form, over all terms.
    pub max_generations: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnobsError {
    #[error("{name} is {value_ms} ms; it must exceed {below} ({below_ms} ms): choose another heartbeat")]
    Order { name: &'static str, value_ms: u64, below: &'static str, below_ms: u64 },
    #[error("{name} is 0; at least one try is needed")]
    NoTry { name: &'static str },
}

impl Knobs {
    /// Derives all others from the heartbeat, in milliseconds; an error where their order breaks
    /// (a heartbeat of 0, or one so long that they overflow).
    pub fn from_heartbeat(heartbeat_ms: u64) -> Result<Self, KnobsError> {
        let times = |n: u64| heartbeat_ms.saturating_mul(n);
        let knobs = Self {
            heartbeat_ms,
            abort_ms: times(5),
            lease_ms: times(30),
            gang_timeout_ms: times(60),
            gang_lease_ms: times(120),
            grace_ms: times(300),
            max_attempts: 5,
            max_losses: 20,
            max_generations: 20,
        };
        knobs.check()?;
        Ok(knobs)
    }

    /// Each wait must outlast the shorter ones inside it, and nothing may be tried zero times.
    pub fn check(&self) -> Result<(), KnobsError> {
        let waits = [
            ("zero", 0),
            ("heartbeat_ms", self.heartbeat_ms),
            ("abort_ms", self.abort_ms),
            ("lease_ms", self.lease_ms),
            ("gang_timeout_ms", self.gang_timeout_ms),
            ("gang_lease_ms", self.gang_lease_ms),
            ("grace_ms", self.grace_ms),
        ];
        for pair in waits.windows(2) {
            let ((below, below_ms), (name, value_ms)) = (pair[0], pair[1]);
            if value_ms <= below_ms {
                return Err(KnobsError::Order { name, value_ms, below, below_ms });
            }
        }
        let limits = [
            ("max_attempts", u64::from(self.max_attempts)),
            ("max_losses", u64::from(self.max_losses)),
            ("max_generations", self.max_generations),
        ];
        match limits.into_iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(KnobsError::NoTry { name }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_ordered_for_sensible_heartbeats_only() {
        assert_eq!(Knobs::from_heartbeat(1000).map(|k| k.grace_ms), Ok(300_000));
        let zero = KnobsError::Order { name: "heartbeat_ms", value_ms: 0, below: "zero", below_ms: 0 };
        assert_eq!(Knobs::from_heartbeat(0), Err(zero));
        assert!(Knobs::from_heartbeat(u64::MAX / 2).is_err(), "the longer waits would be cut to the same value");
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        let knobs = Knobs { max_losses: 0, ..Knobs::from_heartbeat(1).expect("is ordered") };
        assert_eq!(knobs.check(), Err(KnobsError::NoTry { name: "max_losses" }));
    }
}
