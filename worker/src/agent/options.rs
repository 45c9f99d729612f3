//! What an agent is started with.
//!
//! It must never be read from the environment here: `main` does that.

use std::time::Duration;

use lethe_common::ids::WorkerId;
use lethe_telemetry::spans::Spans;
use lethe_tls::Credentials;

use super::child::ExecutorCommand;
use super::meter::Metrics;

#[derive(Clone)]
pub struct AgentOptions {
    /// Such as `https://lethe-0:7400`, at least one; any of them may lead.
    pub coordinators: Vec<String>,
    pub id: WorkerId,
    /// Another one of each process, so that two of one name are told apart.
    pub instance: String,
    pub token: Option<String>,
    /// Of role worker, for coordinators at `https://`.
    pub certificate: Option<Credentials>,
    pub host: String,
    pub device: String,
    pub memory_bytes: u64,
    pub slots: Slots,
    /// From a request to end until the agent returns, at most.
    pub grace: Duration,
    pub executor: ExecutorCommand,
    pub metrics: Metrics,
    /// Who is told of what has ended.
    pub spans: Spans,
}

/// Map tasks that a worker holds: one runs, the others wait beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots(u32);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0} is no number of slots; expected 1 to {max}", max = Slots::MAX)]
pub struct SlotsError(String);

impl Slots {
    pub const MAX: u32 = 64;

    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Slots {
    /// One runs, and the next is there when it ends.
    fn default() -> Self {
        Self(2)
    }
}

impl std::str::FromStr for Slots {
    type Err = SlotsError;
    fn from_str(text: &str) -> Result<Self, SlotsError> {
        let number = text.parse().ok().filter(|n| (1..=Self::MAX).contains(n));
        number.map(Self).ok_or_else(|| SlotsError(text.to_owned()))
    }
}

impl std::fmt::Display for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_one_to_sixty_four() {
        for (text, slots) in [("1", Some(1)), ("64", Some(64)), ("0", None), ("65", None), ("-1", None), ("two", None)]
        {
            assert_eq!(text.parse::<Slots>().ok().map(Slots::get), slots, "{text}");
        }
    }
}
