//! Collectives of one gang: PyTorch's own c10d, with Gloo on the CPU and NCCL on CUDA, behind a thin C++ shim.
//!
//! It must never know a task, a coordinator or a socket of ours: ranks find each other through a
//! [`RendezvousStore`] that the caller provides. It never retries and never decides.
//!
//! # What has run where
//!
//! Gloo runs in every test. NCCL's half compiles, links and loads without a GPU, and refuses there in one line
//! (`tests/nccl.rs`). **Nothing of it has run on a GPU**: not one operation, not the settings that keep an NCCL error
//! from tearing the process down, not the abort that lets survivors rebuild. `make gpu-check` runs the conformance
//! suite on it where a GPU is.

mod connect;
mod dynamic;
mod error;
mod faulty;
mod ffi;
mod flight;
mod group;
mod hooks;
mod layout;
mod ledger;
mod memory_store;
mod nccl;
mod pending;
mod reducer;
mod seam;
mod store;
mod tensors;

pub use connect::{Backend, GroupOptions};
pub use error::CollectiveError;
pub use faulty::{Faulty, Injection, Mischief};
pub use group::Group;
pub use layout::require_same_layout;
pub use ledger::{Call, Ledger, Operation, Tally, Traffic, Waiting};
pub use memory_store::MemoryStore;
pub use nccl::{NCCL_VARIABLE, Nccl};
pub use pending::Pending;
pub use reducer::{Broken, Reducer};
pub use seam::Collective;
pub use store::{RendezvousError, RendezvousStore};
