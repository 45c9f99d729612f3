//! Which committed outputs a task reads.
//!
//! A task must never be given more than its plan names.

use lethe_common::ids::{PhaseIndex, ShardId};

use crate::ledger::Ledger;
use crate::plan::{InputSpec, PhaseKind, Scope};
use crate::record::{Output, TaskResult};

impl Ledger {
    /// The outputs one task reads, in the order of the plan's inputs and then of shards.
    pub fn inputs(&self, phase: PhaseIndex, shard: ShardId) -> Vec<Output> {
        self.spec(phase).inputs.iter().flat_map(|input| self.outputs(input, shard)).collect()
    }

    fn outputs(&self, input: &InputSpec, reader: ShardId) -> Vec<Output> {
        let spec = self.spec(input.phase);
        let output =
            |shard, result: &TaskResult| Output { phase: spec.name.clone(), shard, blobs: result.outputs.clone() };
        match (&spec.kind, input.scope) {
            (PhaseKind::Map { .. }, Scope::All) => self.results(input.phase).map(|(s, r)| output(*s, r)).collect(),
            (PhaseKind::Map { .. }, Scope::SameShard) => {
                self.result(input.phase, reader).map(|r| output(reader, r)).into_iter().collect()
            }
            (PhaseKind::Reduce { .. } | PhaseKind::Gang { .. }, Scope::All | Scope::SameShard) => vec![Output {
                phase: spec.name.clone(),
                shard: ShardId(0),
                blobs: self.phase(input.phase).outputs.clone(),
            }],
        }
    }
}
