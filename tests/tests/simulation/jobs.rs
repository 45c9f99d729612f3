//! The audits that run in the simulation, and what each must come to.
//!
//! It must never ask the engine: what is expected follows from the job alone.

use lethe_common::blob::{BlobRef, Digest, NamedBlob, attempt_path};
use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId};
use lethe_engine::{Counts, InputSpec, Outline, PhaseKind, PhaseSpec, Plan, Scope};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The map phase that reads a sample.
const SAMPLING: PhaseIndex = PhaseIndex(3);

#[derive(Debug, Clone)]
pub struct Job {
    pub id: AuditId,
    pub plan: Plan,
    pub outline: Outline,
    pub cancelled: bool,
}

impl Job {
    pub fn draw(rng: &mut ChaCha8Rng, index: u32, workers: u32) -> Self {
        let shards = if rng.random_bool(0.1) { rng.random_range(0..3) } else { rng.random_range(3..90) };
        let sample = (0..shards).filter(|_| rng.random_bool(0.3)).map(ShardId).collect();
        let outline = Outline { shards, samples: [(SAMPLING, sample)].into() };
        let id = AuditId::new(&format!("audit-{index}")).expect("is a valid id");
        Self { id, plan: plan(rng.random_range(1..=workers)), outline, cancelled: false }
    }

    /// The shards of a phase that a finished audit must hold, each once.
    pub fn shards(&self, phase: PhaseIndex) -> Vec<ShardId> {
        let all = || (0..self.outline.shards).map(ShardId).collect();
        match self.plan.phases[phase.0 as usize].kind {
            PhaseKind::Map { .. } => self.outline.samples.get(&phase).cloned().unwrap_or_else(all),
            PhaseKind::Reduce { .. } | PhaseKind::Gang { .. } => vec![ShardId(0)],
        }
    }
}

fn plan(world_size: u32) -> Plan {
    let program = || "any".to_owned();
    let map = || PhaseKind::Map { program: program() };
    let reduce = || PhaseKind::Reduce { program: program() };
    let gang = || PhaseKind::Gang { program: program(), world_size };
    let input = |phase, scope| InputSpec { phase: PhaseIndex(phase), scope };
    let phase = |name: &str, kind, inputs: Vec<InputSpec>| PhaseSpec { name: name.to_owned(), kind, inputs };
    Plan {
        phases: vec![
            phase("plan", reduce(), vec![]),
            phase("score", map(), vec![input(0, Scope::All)]),
            phase("train", gang(), vec![input(1, Scope::All)]),
            phase("rescore", map(), vec![input(2, Scope::All), input(1, Scope::SameShard)]),
            phase("report", reduce(), vec![input(3, Scope::All)]),
        ],
    }
}

/// What a task writes: the bytes follow from the task, the path from the attempt.
pub fn outputs(task: &TaskId) -> Vec<NamedBlob> {
    let digest = digest(&task.audit, task.phase, task.shard);
    let blob = BlobRef { path: attempt_path(task, "out"), size_bytes: 1, digest };
    vec![NamedBlob { name: "out".to_owned(), blob }]
}

pub fn digest(audit: &AuditId, phase: PhaseIndex, shard: ShardId) -> Digest {
    Digest::of(format!("{audit}/{phase}/{shard}").as_bytes())
}

pub fn counts(task: &TaskId) -> Counts {
    let read = u64::from(task.shard.0) + 10;
    Counts { read, scored: read - 1, failed: 1 }
}
