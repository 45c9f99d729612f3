//! Collectives of one gang: PyTorch's own c10d, with Gloo on the CPU and NCCL on CUDA, behind a thin C++ shim.
//!
//! It must never know a task, a coordinator or a socket of ours: ranks find each other through a
//! [`RendezvousStore`] that the caller provides. It never retries and never decides.
//!
//! Beside them lies what needs CUDA opened at run time, [`cuda`], and the reducer's gradient hooks.
//!
//! # Order between computation and collectives on CUDA
//!
//! All computation is queued on the device's default stream (nothing of ours sets another, and backward's own threads take
//! over the stream of the forward pass); NCCL has streams of its own. Their order is c10d's, as
//! `ProcessGroupNCCL.hpp` of torch 2.13.0 describes it and as its source was read:
//!
//! - *Issue.* A call makes NCCL's stream wait for an event on the stream that is current at the call, so it reads what was
//!   queued before it. The reducer issues from backward's hooks, on the stream that wrote the gradient.
//! - *Wait.* `Work::wait` makes the current stream wait for the operation's end. Given a time, as ours always is (`finish` and
//!   `lethe_work_wait` in `csrc`), it also blocks the CPU until the operation ended or the time passed, and then throws. So when a
//!   gradient's wait returns, the sum is there, not only queued: the vote that follows is about facts, and a rank that fell is
//!   noticed before any vote.
//! - *Memory.* From issue to wait the Work holds its tensors (stashed references; TORCH_NCCL_AVOID_RECORD_STREAMS is the default
//!   in 2.13), so a tensor freed on our side is not given to another kernel meanwhile. A Work that is dropped waits first
//!   (`lethe_work_free`). A failed group is aborted before its Works are dropped, which ends its kernels.
//!
//! # What has run where
//!
//! Gloo runs in every test. NCCL's half compiles, links and loads without a GPU, and refuses there in one line
//! (`tests/nccl.rs`). **Nothing of it has run on a GPU**: not one operation, not the settings that keep an NCCL error
//! from tearing the process down, not the abort that lets survivors rebuild, not the order above. `make gpu-check` runs the
//! conformance suite on it where a GPU is.

mod connect;
pub mod cuda;
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
mod peers;
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
