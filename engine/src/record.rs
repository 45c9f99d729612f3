//! The durable state, as records under keys. An engine rebuilt from them equals the one that wrote
//! them; leases are not among them (a new leader issues them again).

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_common::blob::{BlobRef, Digest, NamedBlob, attempt_path};
use lethe_common::ids::{Attempt, AuditId, Generation, PhaseIndex, ShardId, TaskId};
use lethe_common::time::Millis;
use serde::{Deserialize, Serialize};

use crate::event::{Counts, Options, Outline};
use crate::plan::Plan;

/// One change of what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "all but a few are puts")]
pub enum Change {
    Put(Record),
    /// Every record of an audit goes.
    Forget(AuditId),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    Audit(AuditId, AuditRecord),
    Phase(AuditId, PhaseIndex, PhaseRecord),
    Segment(AuditId, PhaseIndex, u32, SegmentRecord),
}

/// Where a record lies; keys of one audit sort together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordKey {
    Audit(AuditId),
    Phase(AuditId, PhaseIndex),
    Segment(AuditId, PhaseIndex, u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub plan: Plan,
    pub spec_json: String,
    pub submitted: Millis,
    pub state: AuditState,
    pub outline: Option<Outline>,
    #[serde(default)]
    pub options: Options,
    /// Since when nothing new of it starts.
    #[serde(default)]
    pub paused: Option<Millis>,
    /// What people did to it, in order.
    #[serde(default)]
    pub deeds: Vec<Deed>,
    /// Whose results the first phases are, one audit a phase, where this is a re-run.
    #[serde(default)]
    pub inherited: Vec<AuditId>,
    /// What people said of its suspects, in a blob that the engine does not read. It may lie under another audit, where this is a
    /// re-run.
    #[serde(default)]
    pub marks: Option<BlobRef>,
}

/// What a person did to an audit, and when. Deeds are added, and never changed, but that marks of one sitting are one deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    pub at: Millis,
    /// As the client names itself.
    pub by: String,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    Submitted,
    Controlled(Control),
    /// Suspects, in one sitting.
    Marked(Marked),
}

/// How many suspects a person said something of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marked {
    pub poison: u32,
    pub clean: u32,
    /// Marks that were taken back.
    pub taken_back: u32,
}

impl Marked {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            poison: self.poison.saturating_add(other.poison),
            clean: self.clean.saturating_add(other.clean),
            taken_back: self.taken_back.saturating_add(other.taken_back),
        }
    }
}

/// What may be done to an audit that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    Pause,
    Resume,
    /// Lets the last phase begin, where that waits for a person.
    Approve,
    Cancel,
}

/// The deeds one audit keeps: of more, the oldest pauses, resumptions and sittings go.
pub const MAX_DEEDS: usize = 200;

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
    /// Reduces and gangs: what the phase gave. Maps keep theirs in segments.
    pub outputs: Vec<NamedBlob>,
    #[serde(default)]
    pub tally: Tally,
    /// How often each kind of worker ran out of memory: its batches are halved so many times.
    #[serde(default)]
    pub halvings: BTreeMap<String, u32>,
    /// What a person should know of it, at most [`MAX_NOTES`].
    #[serde(default)]
    pub notes: Vec<String>,
    /// What it says of the whole audit, where it is the phase that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<Conclusion>,
    /// Gangs: what a new generation begins with where no worker holds anything newer. Forgotten at the phase's end.
    #[serde(default)]
    pub checkpoint: Option<GangCheckpoint>,
    /// Gangs: the furthest step that was ever kept. One that begins anew has not got on until it is beyond.
    #[serde(default)]
    pub furthest: u64,
}

/// What an audit came to: opaque here, kept so that it can be told without reading any blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclusion {
    /// In a word, for programs, such as "nothing-found".
    pub verdict: String,
    /// In a line, for people.
    pub headline: String,
}

/// A gang's state after so many applied steps, in a blob that only its program reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GangCheckpoint {
    pub step: u64,
    pub blob: BlobRef,
}

/// The notes one phase keeps.
pub const MAX_NOTES: usize = 20;

/// What happened to the tasks of a phase, beside their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Generations of a gang that ended by a fault or a loss.
    pub strikes: u64,
    /// Results that came after another of the same shard, and were dropped.
    pub late: u64,
    /// Second copies leased of slow shards.
    pub speculated: u64,
    /// Shards computed on two workers and compared.
    pub checked: u64,
    /// Shards of which two workers gave different results.
    pub mismatched: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhaseState {
    Waiting,
    Running,
    Done { at: Millis },
    Failed { at: Millis, reason: String },
}

/// What became of some shards of a map, in the order in which they were committed. A segment grows while it
/// is small, so that neither one rewrite a shard nor one record a shard is ever needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SegmentRecord {
    pub entries: Vec<(ShardId, Fate)>,
}

/// The end of one shard in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    Done(ShardResult),
    /// Given up after so many tries.
    Quarantined {
        tries: u32,
        reason: String,
    },
}

/// What a shard's task gave. Its blobs lie under their attempt's own path, so that no path is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardResult {
    pub attempt: Attempt,
    pub outputs: Box<[StoredBlob]>,
    pub counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBlob {
    #[serde(with = "shared_text")]
    pub name: Arc<str>,
    pub size_bytes: u64,
    pub digest: Digest,
}

/// As a plain string; serde's own support would have to be switched on for the whole workspace.
mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
    }
}

/// One task's committed outputs, as another task reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The phase's name.
    pub phase: String,
    pub shard: ShardId,
    pub blobs: Vec<NamedBlob>,
}

impl ShardResult {
    /// The blobs with the paths that the attempt wrote them under.
    pub fn blobs(&self, owner: &AuditId, phase: PhaseIndex, shard: ShardId) -> Vec<NamedBlob> {
        let task = TaskId { audit: owner.clone(), phase, shard, attempt: self.attempt };
        let named = |stored: &StoredBlob| {
            let path = attempt_path(&task, &stored.name);
            let blob = BlobRef { path, size_bytes: stored.size_bytes, digest: stored.digest };
            NamedBlob { name: stored.name.to_string(), blob }
        };
        self.outputs.iter().map(named).collect()
    }

    /// Whether two attempts computed the same.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.outputs == other.outputs && self.counts == other.counts
    }
}

impl AuditRecord {
    /// As it is when it was just submitted.
    pub fn submitted(plan: Plan, spec_json: String, options: Options, at: Millis) -> Self {
        let (state, outline, paused, inherited) = (AuditState::Running, None, None, Vec::new());
        let deeds = vec![Deed { at, by: options.submitter.clone(), what: What::Submitted }];
        Self { plan, spec_json, submitted: at, state, outline, options, paused, deeds, inherited, marks: None }
    }
}

impl PhaseRecord {
    /// Of a phase that has not begun.
    pub fn waiting() -> Self {
        Self {
            state: PhaseState::Waiting,
            started: None,
            generation: Generation(0),
            retries: 0,
            outputs: Vec::new(),
            tally: Tally::default(),
            halvings: BTreeMap::new(),
            notes: Vec::new(),
            conclusion: None,
            checkpoint: None,
            furthest: 0,
        }
    }
}

impl Record {
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Audit(audit, _) => RecordKey::Audit(audit.clone()),
            Self::Phase(audit, phase, _) => RecordKey::Phase(audit.clone(), *phase),
            Self::Segment(audit, phase, segment, _) => RecordKey::Segment(audit.clone(), *phase, *segment),
        }
    }
}

impl RecordKey {
    pub fn audit(&self) -> &AuditId {
        match self {
            Self::Audit(audit) | Self::Phase(audit, _) | Self::Segment(audit, _, _) => audit,
        }
    }
}
