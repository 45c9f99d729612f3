//! What Lethe decides: which phase runs, who holds which shard, when a gang forms, when an audit ends.
//!
//! [`Engine::step`] is a pure function of its state, the time and one event. It must never read a
//! clock, draw a random number, touch a socket, a file or a tensor, or iterate in hash order.

mod command;
mod event;
mod plan;
mod record;
mod view;

pub use command::{Command, CommitOutcome, GangStart, MapStart};
pub use event::{Counts, Event, Outline};
pub use plan::{InputSpec, PhaseKind, PhaseSpec, Plan, Scope};
pub use record::{
    AuditRecord, AuditState, Output, PageRecord, PhaseRecord, PhaseState, Record, RecordKey, SHARDS_PER_PAGE, TaskResult,
};
pub use view::{AuditView, PhaseView};
