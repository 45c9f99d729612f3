//! What a step of a training took, for whoever measures: wall clock, as the rank's own thread saw it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTime {
    /// From 1.
    pub step: u64,
    /// Since the epoch.
    pub began_us: u64,
    pub took_us: u64,
    /// Of the step, a kind of collective operation each.
    pub calls: Vec<CallTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallTime {
    /// As `all_reduce`.
    pub operation: String,
    pub calls: u64,
    pub payload_bytes: u64,
    /// In which the rank's thread was in the calls.
    pub waited_us: u64,
}

impl StepTime {
    pub fn waited_us(&self) -> u64 {
        self.calls.iter().map(|call| call.waited_us).sum()
    }
}
