//! The audits that run in the simulation, and what each must come to.
//!
//! It must never ask the engine: what is expected follows from the job alone.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::blob::{BlobRef, Digest, NamedBlob, attempt_path};
use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId};
use lethe_engine::{Counts, GangCheckpoint, InputSpec, Options, Outline, PhaseKind, PhaseSpec, Plan, Scope};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The kinds of device, whose last bits differ; the coordinator folds on the first.
pub const KINDS: [&str; 2] = ["cpu", "gpu"];

pub const SCORE: PhaseIndex = PhaseIndex(1);
pub const TRAIN: PhaseIndex = PhaseIndex(2);
/// The map phase that reads a sample.
pub const RESCORE: PhaseIndex = PhaseIndex(3);

const MILLION: u32 = 1_000_000;

/// What is wrong with a shard, in the first map phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    Fails,
    Kills,
    Bad,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub id: AuditId,
    pub plan: Plan,
    pub outline: Outline,
    pub options: Options,
    /// Whose results it begins with, and before which phase.
    pub source: Option<(AuditId, PhaseIndex)>,
    pub poison: BTreeMap<ShardId, Poison>,
    pub cancelled: bool,
    /// A task of it had a fatal fault.
    pub fatal: bool,
    /// Shards that a worker gave a wrong result of.
    pub lied: BTreeSet<(PhaseIndex, ShardId)>,
    /// Shards that should have had two results, when there was one worker.
    pub alone: BTreeSet<(PhaseIndex, ShardId)>,
}

impl Job {
    pub fn draw(rng: &mut ChaCha8Rng, index: u32, workers: u32, liar: bool) -> Self {
        let shards = if rng.random_bool(0.1) { rng.random_range(0..3) } else { rng.random_range(3..workers.max(40)) };
        let sample = (0..shards).filter(|_| rng.random_bool(0.3)).map(ShardId).collect();
        let outline = Outline { shards, samples: [(RESCORE, sample)].into() };
        let poison: BTreeMap<_, _> = match rng.random_bool(0.3) {
            true => (0..rng.random_range(1..3)).map(|_| (ShardId(rng.random_range(0..40)), poison(rng))).collect(),
            false => BTreeMap::new(),
        };
        let poison = poison.into_iter().filter(|(shard, _)| shard.0 < shards).collect();
        let check_ppm = [0, 0, MILLION / 3, MILLION][rng.random_range(0..4)];
        let max_lost_ppm = if liar && check_ppm > 0 || rng.random_bool(0.8) { MILLION } else { 0 };
        let approval = rng.random_bool(0.2);
        let submitter = ["ann", "ben"][rng.random_range(0..2)].to_owned();
        let priority = rng.random_range(-1..=1);
        let options = Options { submitter, priority, max_lost_ppm, check_ppm, approval, traceparent: None };
        let id = AuditId::new(&format!("audit-{index}")).expect("is a valid id");
        let world_size = rng.random_range(1..=workers);
        let floor = rng.random_bool(0.6).then(|| rng.random_range(1..=world_size));
        let plan = plan(world_size, floor);
        let (lied, alone) = (BTreeSet::new(), BTreeSet::new());
        Self { id, plan, outline, options, source: None, poison, cancelled: false, fatal: false, lied, alone }
    }

    /// Its gang wants every worker, and goes on with half of them.
    pub fn take_all(&mut self, workers: u32) {
        self.plan = plan(workers, Some(workers.div_ceil(2)));
    }

    /// The ranks of its gang.
    pub fn world_size(&self) -> u32 {
        gang_size(&self.plan).1
    }

    /// The workers that its gang needs at least.
    pub fn floor(&self) -> u32 {
        gang_size(&self.plan).0
    }

    /// The same work under another name, with the results of the phases before one.
    pub fn again(&self, id: AuditId, from: PhaseIndex) -> Self {
        let source = Some((self.id.clone(), from));
        let (lied, alone) = (BTreeSet::new(), BTreeSet::new());
        Self { id, source, cancelled: false, fatal: false, lied, alone, ..self.clone() }
    }

    /// The shards of a phase that a fault-free audit would hold, each once.
    pub fn shards(&self, phase: PhaseIndex) -> Vec<ShardId> {
        let all = || (0..self.outline.shards).map(ShardId).collect();
        match self.plan.phases[phase.0 as usize].kind {
            PhaseKind::Map { .. } => self.outline.samples.get(&phase).cloned().unwrap_or_else(all),
            PhaseKind::Reduce { .. } | PhaseKind::Gang { .. } => vec![ShardId(0)],
        }
    }

    /// Who computes a phase.
    pub fn owner(&self, phase: PhaseIndex) -> &AuditId {
        match &self.source {
            Some((source, from)) if phase < *from => source,
            Some(_) | None => &self.id,
        }
    }

    pub fn is_checked(&self, phase: PhaseIndex, shard: ShardId) -> bool {
        is_checked(&self.id, self.options.check_ppm, phase, shard)
    }
}

/// The fewest and the most ranks of a plan's gang.
pub fn gang_size(plan: &Plan) -> (u32, u32) {
    match plan.phases[TRAIN.0 as usize].kind {
        PhaseKind::Gang { world_size, floor, .. } => (floor.unwrap_or(world_size), world_size),
        PhaseKind::Map { .. } | PhaseKind::Reduce { .. } => unreachable!("the plan trains there"),
    }
}

fn poison(rng: &mut ChaCha8Rng) -> Poison {
    [Poison::Fails, Poison::Kills, Poison::Bad][rng.random_range(0..3)]
}

/// The engine's choice, said once more.
pub fn is_checked(audit: &AuditId, check_ppm: u32, phase: PhaseIndex, shard: ShardId) -> bool {
    let digest = Digest::of(format!("check/{audit}/{phase}/{shard}").as_bytes()).0;
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) % MILLION < check_ppm
}

fn plan(world_size: u32, floor: Option<u32>) -> Plan {
    let program = || "any".to_owned();
    let map = || PhaseKind::Map { program: program() };
    let reduce = || PhaseKind::Reduce { program: program() };
    let gang = || PhaseKind::Gang { program: program(), world_size, floor };
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

/// What a task writes: the bytes follow from the task and the kind of device, the path from the attempt.
pub fn outputs(task: &TaskId, kind: &str) -> Vec<NamedBlob> {
    let digest = digest(&task.audit, task.phase, task.shard, kind);
    let blob = BlobRef { path: attempt_path(task, "out"), size_bytes: 1, digest };
    vec![NamedBlob { name: "out".to_owned(), blob }]
}

/// What a gang's leading rank writes on its way: each under a name of its own.
pub fn checkpoint(task: &TaskId, step: u64) -> GangCheckpoint {
    let path = attempt_path(task, &format!("checkpoint-{step}"));
    let digest = Digest::of(path.as_bytes());
    GangCheckpoint { step, blob: BlobRef { path, size_bytes: 1, digest } }
}

pub fn digest(audit: &AuditId, phase: PhaseIndex, shard: ShardId, kind: &str) -> Digest {
    Digest::of(format!("{audit}/{phase}/{shard} on {kind}").as_bytes())
}

pub fn counts(task: &TaskId) -> Counts {
    let read = u64::from(task.shard.0) + 10;
    Counts { read, scored: read - 1, failed: 1 }
}
