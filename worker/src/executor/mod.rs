//! The process that owns the device: one thread runs tasks and calls torch, another listens to the
//! agent. It ends with its agent.
//!
//! It must never open a connection of its own to the coordinator, and never start torch threads beyond
//! those set once at its start.

mod ahead;
pub(crate) mod failure;
mod link;
mod listen;
mod rendezvous;
mod run;
mod steps;
pub(crate) mod threads;

use std::sync::mpsc;

use anyhow::Context;
use lethe_common::fault::Fault;
use lethe_common::program::{GangProgram, MapProgram};
use lethe_model::exact::exact_cuda;
use lethe_model::tch::Device;
use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::frame::FromExecutor;
use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};
use ahead::Ahead;
pub use ahead::Open;
use link::Link;
use run::Runner;

/// What an executor can run; tests bring their own.
#[derive(Clone, Copy)]
pub struct Programs {
    pub map: fn(MapProgram, &TaskContext<'_>) -> Result<TaskOutput, Fault>,
    pub open: Open,
    pub gang: fn(GangProgram, &TaskContext<'_>, GangContext<'_>, &mut GangMemory) -> Result<TaskOutput, Fault>,
}

/// glibc gives threads arenas of their own, eight a core, and what is freed in one stays in it: threads that come and go with each
/// shard would leave ten megabytes each. Two are one for the thread that computes and one for those that read. Blocks of 16 MiB
/// go back as they are freed; by itself glibc would keep ever larger ones, up to 32. Activations of that size cost more to
/// compute than to map.
fn allocate_sparingly() {
    #[cfg(target_env = "gnu")]
    // SAFETY: settings of the allocator, which it checks and locks.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 16 << 20);
        // It would stay at 128 KiB where the other is set, and smaller activations would be mapped anew at each step.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 4 << 20);
    }
}

/// Gives what a task freed back to the system: pieces that stay between what lives on would add up from shard to shard.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; what is in use is left alone.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Serves the agent at the other end of standard input (a socket) until it closes. Tasks compute on the device, which is
/// there and open. The worker's name is for the log.
///
/// # Errors
/// Where standard input is not the agent's socket, or the thread count is no number.
pub fn run(programs: Programs, device: Device, worker: String) -> anyhow::Result<()> {
    allocate_sparingly();
    // The signal follows the agent's thread that started this process: its only one.
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to end with the agent")?;
    let link = Link::from_stdin().context("standard input is not an agent's socket; the agent starts executors")?;
    tch::set_num_threads(i32::try_from(threads::torch()?)?);
    threads::decoders()?; // a word that is no number is told before any task
    if device.is_cuda() {
        exact_cuda()?;
    }
    let (tasks, assigned) = mpsc::channel();
    listen::start(&link, tasks, Ahead::new(programs.open))?;
    link.send(&FromExecutor::Ready)?;
    let mut runner = Runner::new(programs, (device, worker), link);
    for assignment in assigned {
        runner.run(assignment)?;
    }
    Ok(())
}
