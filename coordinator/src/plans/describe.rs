//! A plan as a table for a person: what `--dry-run` shows.
//!
//! It must never promise a count that only the plan phase can know.

use lethe_engine::{InputSpec, PhaseKind, PhaseSpec, Plan, Scope};

/// One line a phase under a header: name, kind, tasks, and what it reads.
pub fn describe(plan: &Plan) -> String {
    let header = row("phase", "kind", "tasks", "reads");
    plan.phases.iter().fold(header, |table, phase| table + &line(phase, plan))
}

fn line(phase: &PhaseSpec, plan: &Plan) -> String {
    let (kind, tasks) = match &phase.kind {
        PhaseKind::Map { .. } => ("map", "one a shard".to_owned()),
        PhaseKind::Reduce { .. } => ("reduce", "1".to_owned()),
        PhaseKind::Gang { world_size, floor: Some(floor), .. } if floor < world_size => {
            ("gang", format!("{floor} to {world_size} ranks"))
        }
        PhaseKind::Gang { world_size, .. } => ("gang", format!("{world_size} ranks")),
    };
    let inputs: Vec<String> = phase.inputs.iter().map(|input| read(input, plan)).collect();
    row(&phase.name, kind, &tasks, &inputs.join(", "))
}

fn read(input: &InputSpec, plan: &Plan) -> String {
    let name = &plan.phases[input.phase.0 as usize].name;
    match input.scope {
        Scope::All => name.clone(),
        Scope::SameShard => format!("{name} (same shard)"),
    }
}

fn row(name: &str, kind: &str, tasks: &str, inputs: &str) -> String {
    let line = format!("{name:<10} {kind:<7} {tasks:<12} {inputs}");
    line.trim_end().to_owned() + "\n"
}
