//! The gRPC services of `lethe/v1/lethe.proto`, over the driver and the rendezvous.
//!
//! It must never decide or keep state: it checks what came in, asks, and turns the answer back.

mod audits;
mod caller;
mod commits;
mod faults;
mod gate;
pub(crate) mod limits;
mod orders;
mod places;
mod reruns;
mod results;
mod rights;
mod seat;
mod session;
mod status;
mod token;
mod wire;
mod workers;

pub use audits::{AuditsApi, ClusterFacts};
pub use caller::Caller;
pub(crate) use faults::mark as mark_fault;
pub use gate::Gate;
pub(crate) use gate::Guard;
pub use places::Places;
pub(crate) use reruns::rerun;
pub(crate) use results::fetch as fetch_result;
pub use rights::roles;
pub use seat::{LEADER_METADATA, Lead, Seat, Standing};
pub(crate) use status::done;
pub use token::{Token, TokenError};
pub use workers::{SessionTerms, WorkersApi};

/// The largest message sent, in bytes: a task that reads every shard of a large map
/// names all their outputs.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
