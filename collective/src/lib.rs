//! Collectives of one gang: PyTorch's own c10d with its Gloo backend, behind a thin C++ shim.
//!
//! It must never know a task, a coordinator or a socket of ours: ranks find each other through a
//! [`RendezvousStore`] that the caller provides. NCCL will be a second backend of [`Group`].

mod error;
mod ffi;
mod group;
mod memory_store;
mod store;

pub use error::CollectiveError;
pub use group::{Group, GroupOptions};
pub use memory_store::MemoryStore;
pub use store::{RendezvousError, RendezvousStore};
