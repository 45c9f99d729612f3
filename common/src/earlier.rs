//! What an audit takes over from an earlier one over some of the same shards: an output of its plan, which workers and the report read.
//!
//! It must never let a score stand that would not be computed again to the same bits: what it depends on beside its shard is in
//! [`Basis::scored_by`] and the reference set.

use serde::{Deserialize, Serialize};

use crate::blob::{Digest, NamedBlob};
use crate::ids::{AuditId, ShardId};

/// Its name among the plan's outputs.
pub const EARLIER: &str = "earlier.json";

/// What the scores of an audit rest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Of code, model and those parts of the spec that a score depends on. Absent where a file of the model could not be read: then nobody
    /// takes anything over.
    pub scored_by: Option<Digest>,
    /// The audit whose reference set the scores are compared with.
    pub reference_of: AuditId,
    /// All bytes of the shards that the reference set was drawn from.
    pub drawn_from_bytes: u64,
    /// Bytes of the shards that came, went or changed since, one audit after the other.
    pub turned_over_bytes: u64,
    /// Where the spec names an earlier audit.
    pub since: Option<Since>,
}

/// What became of the shards since an earlier audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub audit: AuditId,
    /// Absent where the earlier audit is not known any more, or was not one of shards.
    pub changes: Option<Changes>,
    /// Why every shard is scored again, where that is so.
    pub anew: Option<String>,
    /// What is taken over, a phase of a shard each.
    pub taken: Vec<Taken>,
    /// The earlier audit's drop list.
    pub drop_list: Option<NamedBlob>,
}

/// Shards by what became of them. One of another name is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    pub unchanged: u32,
    pub changed: u32,
    pub new: u32,
    pub gone: u32,
}

/// What an earlier audit computed of a shard in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The same in both audits.
    pub shard: ShardId,
    pub phase: String,
    pub read: u64,
    pub scored: u64,
    pub failed: u64,
    pub outputs: Vec<NamedBlob>,
}

/// What is new since an earlier audit, for its report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinceEarlier {
    pub audit: String,
    /// Absent where the earlier audit is not known any more.
    pub shards: Option<Changes>,
    /// Shards whose scores are the earlier audit's.
    pub kept: u64,
    /// Why there are none, where that is so.
    pub anew: Option<String>,
    /// Pairs that are to be dropped and were not then, and the other way round; absent where its drop list is not there any more.
    pub drops: Option<Drops>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    pub new: u64,
    pub no_longer: u64,
}
