//! What probes ask: whether the process lives, and whether it is of use now.
//!
//! Life must never depend on another process: a store that is away for an hour is no reason to restart what waits for it.

/// Whether it is of use, and a line that says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub is_ready: bool,
    pub why: String,
}

impl Readiness {
    pub fn ready(why: impl Into<String>) -> Self {
        Self { is_ready: true, why: why.into() }
    }

    pub fn not(why: impl Into<String>) -> Self {
        Self { is_ready: false, why: why.into() }
    }
}
