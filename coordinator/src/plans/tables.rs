//! The plans, one row a phase: its program, and the earlier phases whose outputs it reads.
//!
//! No row may read a later phase, and none may name ground truth: there is no phase that has it.

use lethe_common::program::{GangProgram, MapProgram, ReduceProgram};
use lethe_engine::Scope::{All, SameShard};

use super::Program::{Gang, Map, Reduce};
use super::Row;

/// Find the poison, unlearn it, report.
pub(super) const UBT: &[Row] = &[
    Row { program: Reduce(ReduceProgram::Plan), inputs: &[] },
    Row { program: Map(MapProgram::Reference), inputs: &[("plan", All)] },
    Row { program: Map(MapProgram::Score), inputs: &[("plan", All), ("reference", All)] },
    Row { program: Reduce(ReduceProgram::Suspect), inputs: &[("plan", All), ("score", All), ("reference", All)] },
    Row { program: Map(MapProgram::Gather), inputs: &[("plan", All), ("score", SameShard), ("suspect", All)] },
    Row { program: Gang(GangProgram::Overfit), inputs: &[("plan", All), ("gather", All), ("suspect", All)] },
    Row { program: Gang(GangProgram::StandIn), inputs: &[("plan", All), ("gather", All), ("suspect", All)] },
    Row {
        program: Map(MapProgram::Rescore),
        inputs: &[("plan", All), ("gather", SameShard), ("overfit", All), ("stand-in", All)],
    },
    Row { program: Reduce(ReduceProgram::Select), inputs: &[("plan", All), ("rescore", All), ("suspect", All)] },
    Row {
        program: Map(MapProgram::Probe),
        inputs: &[("plan", All), ("score", SameShard), ("suspect", All), ("gather", SameShard), ("select", All)],
    },
    Row { program: Reduce(ReduceProgram::Confirm), inputs: &[("plan", All), ("select", All), ("probe", All)] },
    Row { program: Map(MapProgram::Localize), inputs: &[("plan", All), ("gather", SameShard), ("confirm", All)] },
    Row {
        program: Gang(GangProgram::Unlearn),
        inputs: &[("plan", All), ("gather", All), ("select", All), ("confirm", All)],
    },
    Row {
        program: Map(MapProgram::Evaluate),
        inputs: &[("plan", All), ("score", SameShard), ("gather", SameShard), ("confirm", All), ("unlearn", All)],
    },
    Row {
        program: Reduce(ReduceProgram::Report),
        inputs: &[
            ("plan", All),
            ("score", All),
            ("suspect", All),
            ("overfit", All),
            ("stand-in", All),
            ("select", All),
            ("probe", All),
            ("confirm", All),
            ("localize", All),
            ("unlearn", All),
            ("evaluate", All),
        ],
    },
    Row { program: Reduce(ReduceProgram::Deliver), inputs: &[("report", All)] },
];

/// Train a checkpoint on the shards: what a drill's victim comes from.
pub(super) const TRAIN: &[Row] = &[
    Row { program: Reduce(ReduceProgram::Plan), inputs: &[] },
    Row { program: Map(MapProgram::Pack), inputs: &[("plan", All)] },
    Row { program: Gang(GangProgram::Train), inputs: &[("plan", All), ("pack", All)] },
    Row { program: Reduce(ReduceProgram::Publish), inputs: &[("plan", All), ("train", All)] },
    Row { program: Reduce(ReduceProgram::Deliver), inputs: &[("publish", All)] },
];
