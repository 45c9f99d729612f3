//! Which committed outputs a task reads.
//!
//! A task must never be given more than its plan names.

use lethe_common::ids::{PhaseIndex, ShardId};

use crate::ledger::Ledger;
use crate::plan::{InputSpec, PhaseKind, Scope};
use crate::record::{Fate, Output, ShardResult};

impl Ledger {
    /// What every task of a phase reads, in the order of the plan's inputs and then of shards.
    pub fn shared_inputs(&self, phase: PhaseIndex) -> Vec<Output> {
        self.spec(phase)
            .inputs
            .iter()
            .filter(|input| !self.is_of_shard(input))
            .flat_map(|i| self.all(i.phase))
            .collect()
    }

    /// What a task reads of its own shard.
    pub fn shard_inputs(&self, phase: PhaseIndex, shard: ShardId) -> Vec<Output> {
        let of_shard = self.spec(phase).inputs.iter().filter(|input| self.is_of_shard(input));
        of_shard.filter_map(|input| Some(self.output(input.phase, shard, self.result(input.phase, shard)?))).collect()
    }

    fn is_of_shard(&self, input: &InputSpec) -> bool {
        match (&self.spec(input.phase).kind, input.scope) {
            (PhaseKind::Map { .. }, Scope::SameShard) => true,
            (PhaseKind::Map { .. }, Scope::All) => false,
            (PhaseKind::Reduce { .. } | PhaseKind::Gang { .. }, Scope::All | Scope::SameShard) => false,
        }
    }

    fn all(&self, phase: PhaseIndex) -> Vec<Output> {
        let spec = self.spec(phase);
        match &spec.kind {
            PhaseKind::Map { .. } => {
                let done = self.results(phase).fates().filter_map(|(shard, fate)| match fate {
                    Fate::Done(result) => Some((shard, result)),
                    Fate::Quarantined { .. } => None,
                });
                done.map(|(shard, result)| self.output(phase, shard, result)).collect()
            }
            PhaseKind::Reduce { .. } | PhaseKind::Gang { .. } => {
                vec![Output { phase: spec.name.clone(), shard: ShardId(0), blobs: self.phase(phase).outputs.clone() }]
            }
        }
    }

    fn output(&self, phase: PhaseIndex, shard: ShardId, result: &ShardResult) -> Output {
        let blobs = result.blobs(&self.results(phase).owner, phase, shard);
        Output { phase: self.spec(phase).name.clone(), shard, blobs }
    }
}
