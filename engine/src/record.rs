//! The durable state, as records under keys. An engine rebuilt from them equals the one that wrote
//! them; leases are not among them (a new leader issues them again).

use std::collections::BTreeMap;

use lethe_common::blob::NamedBlob;
use lethe_common::ids::{AuditId, Generation, PhaseIndex, ShardId};
use lethe_common::time::Millis;
use serde::{Deserialize, Serialize};

use crate::event::{Counts, Outline};
use crate::plan::Plan;

/// Shards whose results share one page, so that a page stays under 64 KB.
pub const SHARDS_PER_PAGE: u32 = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    Audit(AuditId, AuditRecord),
    Phase(AuditId, PhaseIndex, PhaseRecord),
    Page(AuditId, PhaseIndex, u32, PageRecord),
}

/// Where a record lies; keys of one audit sort together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordKey {
    Audit(AuditId),
    Phase(AuditId, PhaseIndex),
    Page(AuditId, PhaseIndex, u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub plan: Plan,
    pub spec_json: String,
    pub submitted: Millis,
    pub state: AuditState,
    pub outline: Option<Outline>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditState {
    Running,
    Succeeded { at: Millis },
    Failed { at: Millis, reason: String },
    Cancelled { at: Millis },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRecord {
    pub state: PhaseState,
    pub started: Option<Millis>,
    /// Gangs: the generation that last formed.
    pub generation: Generation,
    /// Tries that ended in a fault, over all tasks.
    pub retries: u64,
    /// Reduces and gangs: what the phase gave. Maps keep theirs in pages.
    pub outputs: Vec<NamedBlob>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhaseState {
    Waiting,
    Running,
    Done { at: Millis },
    Failed { at: Millis, reason: String },
}

/// The committed tasks of up to [`SHARDS_PER_PAGE`] consecutive shards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PageRecord {
    pub done: BTreeMap<ShardId, TaskResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    pub outputs: Vec<NamedBlob>,
    pub counts: Counts,
}

/// One task's committed outputs, as another task reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The phase's name.
    pub phase: String,
    pub shard: ShardId,
    pub blobs: Vec<NamedBlob>,
}

impl Record {
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Audit(audit, _) => RecordKey::Audit(audit.clone()),
            Self::Phase(audit, phase, _) => RecordKey::Phase(audit.clone(), *phase),
            Self::Page(audit, phase, page, _) => RecordKey::Page(audit.clone(), *phase, *page),
        }
    }
}
