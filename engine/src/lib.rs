//! What Lethe decides: which phase runs, who holds which shard, when a gang forms, when an audit ends.
//!
//! [`Engine::step`] is a pure function of its state, the time and one event. It must never read a
//! clock, draw a random number, touch a socket, a file or a tensor, or iterate in hash order.

mod audit;
mod command;
mod dispatch;
mod engine;
mod event;
mod gang;
mod gang_size;
mod inputs;
mod keep;
mod knobs;
mod ledger;
mod map;
mod map_ends;
mod member;
mod outbox;
mod outline;
mod pace;
mod places;
mod plan;
mod plan_check;
mod record;
mod reduce;
mod restore;
mod results;
mod seats;
mod setback;
mod turn;
mod view;
mod votes;
mod workers;

pub use command::{Command, CommitOutcome, GangStart, MapStart, PhaseContext};
pub use engine::Engine;
pub use event::{Counts, Event, Options, Outline, Profile};
pub use keep::{MARKS, RerunError};
pub use knobs::{Knobs, KnobsError};
pub use outline::MAX_SHARDS;
pub use places::GangPlace;
pub use plan::{InputSpec, PhaseKind, PhaseSpec, Plan, Scope};
pub use plan_check::{MAX_PHASES, MAX_WORLD_SIZE, PlanError};
pub use record::{
    AuditRecord, AuditState, Change, Conclusion, Control, Deed, Fate, GangCheckpoint, MAX_DEEDS, MAX_NOTES, Marked,
    Output, PhaseRecord, PhaseState, Record, RecordKey, SegmentRecord, ShardResult, StoredBlob, Tally, What,
};
pub use restore::RestoreError;
pub use view::{AuditView, PhaseView, QuarantineView, WorkerView};
