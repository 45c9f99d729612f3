//! The programs of gangs: one data-parallel loop, and the objectives it trains.

mod clean_clip;
mod dataset;
mod eda;
mod exchange;
mod fine_tune;
mod gathered;
mod meeting;
mod objective;
mod optimizer;
mod overfit;
mod par;
mod safe;
pub(super) mod sampler;
mod saver;
mod snapshot;
mod stand_in;
mod texts;
mod train;
mod trainee;
mod training;
mod unlearn;
mod views;
mod vocabulary;
mod vote;
mod whereabouts;
mod words;

use lethe_common::fault::Fault;
use lethe_common::program::GangProgram;

use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};

/// Runs one rank of one generation of a gang; `memory` is what the last generation here left.
pub fn run_gang(
    program: GangProgram,
    ctx: &TaskContext<'_>,
    gang: GangContext<'_>,
    memory: &mut GangMemory,
) -> Result<TaskOutput, Fault> {
    match program {
        GangProgram::Train => train::run(ctx, gang, memory),
        GangProgram::Overfit => overfit::run(ctx, gang, memory),
        GangProgram::StandIn => stand_in::run(ctx, gang, memory),
        GangProgram::Unlearn => unlearn::run(ctx, gang, memory),
    }
}

#[cfg(test)]
mod tests;
