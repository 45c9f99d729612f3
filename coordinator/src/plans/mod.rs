//! Which phases an audit runs, and what each reads: the tables in `tables.rs`, built into the engine's
//! plan.
//!
//! It must never decide when a phase runs or where; that is the engine's.

mod describe;
mod tables;

use lethe_common::ids::PhaseIndex;
use lethe_common::program::{GangProgram, MapProgram, ReduceProgram};
use lethe_common::spec::{PlanName, Spec, WorkersSection};
use lethe_engine::{InputSpec, PhaseKind, PhaseSpec, Plan, Scope};

pub use describe::describe;
use tables::{TRAIN, UBT};

/// One phase, named after its program.
struct Row {
    program: Program,
    inputs: &'static [(&'static str, Scope)],
}

#[derive(Clone, Copy)]
enum Program {
    Map(MapProgram),
    Reduce(ReduceProgram),
    Gang(GangProgram),
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Map(program) => program.as_str(),
            Self::Reduce(program) => program.as_str(),
            Self::Gang(program) => program.as_str(),
        }
    }

    fn kind(self, workers: &WorkersSection) -> PhaseKind {
        let program = self.name().to_owned();
        match self {
            Self::Map(_) => PhaseKind::Map { program },
            Self::Reduce(_) => PhaseKind::Reduce { program },
            Self::Gang(_) => PhaseKind::Gang { program, world_size: workers.count, floor: workers.gang_floor },
        }
    }
}

/// The plan a spec asks for; gangs get as many ranks as there are workers.
pub fn build(spec: &Spec) -> Plan {
    let rows = match spec.audit.plan {
        PlanName::Ubt => UBT,
        PlanName::Train => TRAIN,
    };
    Plan { phases: rows.iter().map(|row| phase(row, rows, &spec.workers)).collect() }
}

fn phase(row: &Row, rows: &[Row], workers: &WorkersSection) -> PhaseSpec {
    let inputs = row.inputs.iter().map(|&(name, scope)| InputSpec { phase: index_of(name, rows), scope });
    PhaseSpec { name: row.program.name().to_owned(), kind: row.program.kind(workers), inputs: inputs.collect() }
}

fn index_of(name: &str, rows: &[Row]) -> PhaseIndex {
    let found = rows.iter().position(|row| row.program.name() == name);
    let index = found.expect("the tables name only their own phases, which a test checks");
    PhaseIndex(u32::try_from(index).expect("a plan has a handful of phases"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(plan: &str) -> Spec {
        let text = format!(
            "[audit]\nid = \"a\"\nplan = \"{plan}\"\n[model]\nconfig = \"m.json\"\ncheckpoint = \"m.safetensors\"\n\
             [data]\nshards = [\"0.tar\"]\n[workers]\ncount = 3\n"
        );
        load(&text)
    }

    /// The loader wants a file.
    fn load(text: &str) -> Spec {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("spec.toml");
        std::fs::write(&path, text).expect("writes");
        lethe_common::spec::load(&path).expect("is valid")
    }

    #[test]
    fn inputs_refer_to_earlier_phases_only() {
        for name in ["ubt", "train"] {
            for (index, phase) in build(&spec(name)).phases.iter().enumerate() {
                for input in &phase.inputs {
                    assert!((input.phase.0 as usize) < index, "{name}: {} reads phase {}", phase.name, input.phase);
                }
            }
        }
    }

    #[test]
    fn every_worker_task_reads_the_plan() {
        for name in ["ubt", "train"] {
            let plan = InputSpec { phase: PhaseIndex(0), scope: Scope::All };
            for phase in build(&spec(name)).phases {
                match phase.kind {
                    PhaseKind::Map { .. } | PhaseKind::Gang { .. } => {
                        assert!(phase.inputs.contains(&plan), "{name}: {}", phase.name);
                    }
                    PhaseKind::Reduce { .. } => {}
                }
            }
        }
    }

    #[test]
    fn same_shard_inputs_are_maps_read_by_maps() {
        let plan = build(&spec("ubt"));
        let is_map = |phase: &PhaseSpec| matches!(phase.kind, PhaseKind::Map { .. });
        for phase in &plan.phases {
            for input in phase.inputs.iter().filter(|input| input.scope == Scope::SameShard) {
                assert!(is_map(phase) && is_map(&plan.phases[input.phase.0 as usize]), "{}", phase.name);
            }
        }
    }

    #[test]
    fn the_phases_are_those_of_the_design() {
        let names = |plan: &str| build(&spec(plan)).phases.into_iter().map(|p| p.name).collect::<Vec<_>>().join(" ");
        assert_eq!(
            names("ubt"),
            "plan reference score suspect gather overfit stand-in rescore select probe confirm localize unlearn evaluate report deliver"
        );
        assert_eq!(names("train"), "plan pack train publish deliver");
    }

    #[test]
    fn delivery_comes_last_and_reads_the_phase_before_it_alone() {
        for name in ["ubt", "train"] {
            let phases = build(&spec(name)).phases;
            let last = phases.len() - 1;
            let before = InputSpec { phase: PhaseIndex(last as u32 - 1), scope: Scope::All };
            assert_eq!((phases[last].name.as_str(), &phases[last].inputs), ("deliver", &vec![before]), "{name}");
        }
    }

    #[test]
    fn a_description_shows_kinds_inputs_and_ranks() {
        let text = describe(&build(&spec("ubt")));
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        assert!(line("overfit").contains("gang") && line("overfit").contains("3 ranks"), "{text}");
        assert!(line("rescore").contains("gather (same shard), overfit"), "{text}");
        assert_eq!(text.lines().count(), 17, "{text}");
        let mut elastic = spec("ubt");
        elastic.workers.gang_floor = Some(2);
        assert!(describe(&build(&elastic)).contains("2 to 3 ranks"));
    }
}
