//! What the phases compute, on the executor's one torch thread.
//!
//! A program must never talk to the coordinator or start a process: it sees its context only.

use lethe_common::fault::Fault;
use lethe_common::program::{GangProgram, MapProgram};

use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};

/// Runs one map task.
pub fn run_map(program: MapProgram, ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    Err(Fault::fatal(format!("{}: program {program} is not built yet", ctx.task)))
}

/// Runs one rank of one generation of a gang; `memory` is what the last generation here left.
pub fn run_gang(
    program: GangProgram,
    ctx: &TaskContext<'_>,
    gang: GangContext<'_>,
    memory: &mut GangMemory,
) -> Result<TaskOutput, Fault> {
    let _ = (gang, memory);
    Err(Fault::fatal(format!("{}: program {program} is not built yet", ctx.task)))
}
