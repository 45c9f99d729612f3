//! What a person is shown of an audit: derived from the durable state and the leases, never stored.

use lethe_common::blob::NamedBlob;
use lethe_common::ids::AuditId;
use lethe_common::time::Millis;

use crate::event::Counts;
use crate::record::{AuditState, PhaseState};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    pub audit: AuditId,
    pub state: AuditState,
    pub phases: Vec<PhaseView>,
    pub workers: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseView {
    pub name: String,
    pub kind: &'static str,
    pub state: PhaseState,
    pub started: Option<Millis>,
    /// Committed tasks of all; a reduce or gang counts as one.
    pub done: u64,
    pub total: u64,
    pub retries: u64,
    pub counts: Counts,
    /// Why nothing of it runs, where nothing does, such as "1 of 2 workers joined".
    pub reason: String,
    /// What a reduce or gang gave.
    pub outputs: Vec<NamedBlob>,
}
