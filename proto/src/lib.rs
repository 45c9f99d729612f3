//! The wire and nothing else: code generated from `lethe/v1/*.proto`, and the conversions between
//! its messages and the ids of `lethe_common`.
//!
//! It must never hold logic: a message that needs a decision is turned into a domain type first.

mod convert;

pub use convert::WireError;

#[allow(clippy::all, clippy::unwrap_used, missing_docs)]
pub mod v1 {
    tonic::include_proto!("lethe.v1");
}

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The version a worker presents in its hello; the coordinator serves this one and the one before.
/// Version 2 holds several map tasks, learns of a phase once, and drains.
pub const WIRE_VERSION: u32 = 2;
