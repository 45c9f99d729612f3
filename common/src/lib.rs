//! What every crate of Lethe shares: ids, time, faults, backoff, blobs, the audit spec, a result's record.
//!
//! It must never know a scheduler, a tensor or a socket.

pub mod backoff;
pub mod blob;
pub mod earlier;
pub mod fault;
pub mod ids;
pub mod pin;
pub mod program;
pub mod record;
pub mod spec;
pub mod time;
