//! What makes a plan one that can run.
//!
//! It must never look at what a program does; only at the shape of the list.

use lethe_common::ids::PhaseIndex;

use crate::plan::{InputSpec, PhaseKind, PhaseSpec, Plan, Scope};

/// The phases one plan may have; their records must fit one atomic batch.
pub const MAX_PHASES: usize = 64;

/// The largest gang, in workers.
pub const MAX_WORLD_SIZE: u32 = 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the plan has {found} phases; expected 1 to {MAX_PHASES}")]
    PhaseCount { found: usize },
    #[error("phase {phase} reads phase {input}; a phase reads only those before it")]
    LateInput { phase: String, input: PhaseIndex },
    #[error(
        "phase {phase} reads the same shard of phase {input}; only a map reads so, and only of a map: use scope all"
    )]
    NoSuchShard { phase: String, input: PhaseIndex },
    #[error("phase {phase} has a world size of {world_size}; expected 1 to {MAX_WORLD_SIZE}")]
    WorldSize { phase: String, world_size: u32 },
    #[error("phase {phase} goes on with at least {floor} ranks; expected 1 to its world size of {world_size}")]
    Floor { phase: String, floor: u32, world_size: u32 },
}

impl Plan {
    /// Whether the engine can run it; the engine fails an audit whose plan it cannot.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.phases.is_empty() || self.phases.len() > MAX_PHASES {
            return Err(PlanError::PhaseCount { found: self.phases.len() });
        }
        for (index, spec) in self.phases.iter().enumerate() {
            spec.check_gang()?;
            spec.inputs.iter().try_for_each(|input| self.check_input(&self.phases[..index], spec, input))?;
        }
        Ok(())
    }

    fn check_input(&self, before: &[PhaseSpec], spec: &PhaseSpec, input: &InputSpec) -> Result<(), PlanError> {
        let phase = || spec.name.clone();
        let Some(source) = before.get(input.phase.0 as usize) else {
            return Err(PlanError::LateInput { phase: phase(), input: input.phase });
        };
        match input.scope {
            Scope::SameShard if !(spec.kind.is_map() && source.kind.is_map()) => {
                Err(PlanError::NoSuchShard { phase: phase(), input: input.phase })
            }
            Scope::SameShard | Scope::All => Ok(()),
        }
    }
}

impl PhaseSpec {
    fn check_gang(&self) -> Result<(), PlanError> {
        match self.kind {
            PhaseKind::Gang { world_size, .. } if !(1..=MAX_WORLD_SIZE).contains(&world_size) => {
                Err(PlanError::WorldSize { phase: self.name.clone(), world_size })
            }
            PhaseKind::Gang { world_size, floor: Some(floor), .. } if !(1..=world_size).contains(&floor) => {
                Err(PlanError::Floor { phase: self.name.clone(), floor, world_size })
            }
            PhaseKind::Gang { .. } | PhaseKind::Map { .. } | PhaseKind::Reduce { .. } => Ok(()),
        }
    }
}

impl PhaseKind {
    pub(crate) fn is_map(&self) -> bool {
        match self {
            Self::Map { .. } => true,
            Self::Reduce { .. } | Self::Gang { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, kind: PhaseKind, inputs: &[(u32, Scope)]) -> PhaseSpec {
        let inputs = inputs.iter().map(|&(p, scope)| InputSpec { phase: PhaseIndex(p), scope }).collect();
        PhaseSpec { name: name.to_owned(), kind, inputs }
    }

    fn map() -> PhaseKind {
        PhaseKind::Map { program: "score".to_owned() }
    }

    fn reduce() -> PhaseKind {
        PhaseKind::Reduce { program: "plan".to_owned() }
    }

    #[test]
    fn plans_that_cannot_run_are_refused() {
        let elastic = |world_size, floor| PhaseKind::Gang { program: "train".to_owned(), world_size, floor };
        let gang = |world_size| elastic(world_size, None);
        let floor = |floor| PlanError::Floor { phase: "a".to_owned(), floor, world_size: 2 };
        let late = PlanError::LateInput { phase: "a".to_owned(), input: PhaseIndex(0) };
        let shard = PlanError::NoSuchShard { phase: "b".to_owned(), input: PhaseIndex(0) };
        let world = PlanError::WorldSize { phase: "a".to_owned(), world_size: 0 };
        let table = [
            (vec![], Err(PlanError::PhaseCount { found: 0 })),
            (vec![phase("a", map(), &[(0, Scope::All)])], Err(late)),
            (vec![phase("a", reduce(), &[]), phase("b", map(), &[(0, Scope::SameShard)])], Err(shard)),
            (vec![phase("a", gang(0), &[])], Err(world)),
            (vec![phase("a", elastic(2, Some(0)), &[])], Err(floor(0))),
            (vec![phase("a", elastic(2, Some(3)), &[])], Err(floor(3))),
            (vec![phase("a", elastic(2, Some(1)), &[])], Ok(())),
            (vec![phase("a", reduce(), &[]), phase("b", gang(2), &[(0, Scope::All)])], Ok(())),
            (vec![phase("a", map(), &[]), phase("b", map(), &[(0, Scope::SameShard)])], Ok(())),
        ];
        for (phases, expected) in table {
            assert_eq!(Plan { phases: phases.clone() }.check(), expected, "{phases:?}");
        }
    }
}
