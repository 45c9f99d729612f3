//! An audit as a stored plan: a list of phases of three kinds, each with its inputs.

use lethe_common::ids::PhaseIndex;
use serde::{Deserialize, Serialize};

/// Phases run in this order, one at a time; each sees only the outputs it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub phases: Vec<PhaseSpec>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseSpec {
    pub name: String,
    pub kind: PhaseKind,
    pub inputs: Vec<InputSpec>,
}

/// The program is opaque here; workers and reducers know what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhaseKind {
    /// One independent task per shard of the outline (or per shard of its sample for this phase).
    Map { program: String },
    /// One small fold on the coordinator.
    Reduce { program: String },
    /// One data-parallel training; rank 0's outputs are the phase's.
    Gang {
        program: String,
        world_size: u32,
        /// The fewest ranks it goes on with while workers are missing; absent where it needs all.
        #[serde(default)]
        floor: Option<u32>,
    },
}

/// An earlier phase whose outputs a task reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    pub phase: PhaseIndex,
    pub scope: Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Every task's outputs.
    All,
    /// Only those of the task with the reader's own shard.
    SameShard,
}
