//! What the phases compute, on the executor's one torch thread.
//!
//! A program must never talk to the coordinator or start a process: it sees its context only. What it computes lies on the
//! context's device: `checkpoint` brings models there, `pictures` and `captions` their inputs, and `tensors` reads results.

mod attraction;
mod backdoor;
mod bystanders;
mod captions;
mod checkpoint;
mod density;
mod early;
mod evaluate;
mod fault;
mod gang;
mod gather;
mod grafts;
mod held_out;
mod inputs;
mod isolation;
mod least;
mod likeness;
mod localize;
mod measure;
mod observe;
mod pack;
mod pictures;
mod probe;
mod reference;
mod rescore;
mod rows;
mod score;
mod scored;
mod shard;
mod suspicion;
mod tensors;
#[cfg(test)]
mod tiny;
mod trusted;
mod weights;

pub use gang::run_gang;
pub use measure::measure;

use lethe_common::fault::Fault;
use lethe_common::program::MapProgram;
use lethe_data::Prefetch;

use crate::task::{TaskContext, TaskOutput};

/// Opens the shard of a map task that is about to run, where its program reads a whole one.
pub fn open(program: MapProgram, ctx: &TaskContext<'_>) -> Result<Option<Prefetch>, Fault> {
    match program {
        MapProgram::Score | MapProgram::Pack => shard::open_own(ctx).map(Some),
        MapProgram::Reference
        | MapProgram::Gather
        | MapProgram::Rescore
        | MapProgram::Probe
        | MapProgram::Localize
        | MapProgram::Evaluate => Ok(None),
    }
}

/// Runs one map task.
pub fn run_map(program: MapProgram, ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    match program {
        MapProgram::Reference => reference::run(ctx),
        MapProgram::Score => score::run(ctx),
        MapProgram::Gather => gather::run(ctx),
        MapProgram::Pack => pack::run(ctx),
        MapProgram::Rescore => rescore::run(ctx),
        MapProgram::Probe => probe::run(ctx),
        MapProgram::Localize => localize::run(ctx),
        MapProgram::Evaluate => evaluate::run(ctx),
    }
}
