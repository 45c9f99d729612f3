//! What may go wrong, how often, and how often it did.
//!
//! It must never cause more trouble than the engine's limits allow an audit to survive: every fault
//! here is one that a correct engine gets over, or one whose end is told to the job.

use std::collections::BTreeMap;

use lethe_common::ids::{AuditId, PhaseIndex, ShardId};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    WorkerCrash,
    Absence,
    SessionBreak,
    Drain,
    TaskFault,
    StorageGone,
    TaskFatal,
    TaskHang,
    OutOfMemory,
    OutputsElsewhere,
    Lie,
    PoisonFails,
    PoisonKills,
    BadShard,
    AbortIgnored,
    ReduceFault,
    Shrink,
    Grow,
    Checkpoint,
    CheckpointStale,
    CheckpointElsewhere,
    Duplicate,
    OldTerm,
    StoreConflict,
    StoreUnknownTaken,
    StoreUnknownLost,
    LeaderCrash,
    Stall,
    Group,
    Pause,
    Cancel,
    Rerun,
    Forget,
}

impl FaultKind {
    pub const ALL: &'static [Self] = &[
        Self::WorkerCrash,
        Self::Absence,
        Self::SessionBreak,
        Self::Drain,
        Self::TaskFault,
        Self::StorageGone,
        Self::TaskFatal,
        Self::TaskHang,
        Self::OutOfMemory,
        Self::OutputsElsewhere,
        Self::Lie,
        Self::PoisonFails,
        Self::PoisonKills,
        Self::BadShard,
        Self::AbortIgnored,
        Self::ReduceFault,
        Self::Shrink,
        Self::Grow,
        Self::Checkpoint,
        Self::CheckpointStale,
        Self::CheckpointElsewhere,
        Self::Duplicate,
        Self::OldTerm,
        Self::StoreConflict,
        Self::StoreUnknownTaken,
        Self::StoreUnknownLost,
        Self::LeaderCrash,
        Self::Stall,
        Self::Group,
        Self::Pause,
        Self::Cancel,
        Self::Rerun,
        Self::Forget,
    ];

    /// How likely it is each time it could happen; those that follow from a job or a worker are certain.
    fn chance(self) -> f64 {
        match self {
            Self::WorkerCrash | Self::SessionBreak | Self::Drain => 0.003,
            Self::TaskFault | Self::StorageGone | Self::TaskHang => 0.03,
            Self::Absence => 0.001,
            Self::OutputsElsewhere => 0.01,
            Self::CheckpointElsewhere => 0.05,
            Self::TaskFatal => 0.0005,
            Self::Lie => 0.7,
            Self::AbortIgnored | Self::ReduceFault | Self::Duplicate => 0.2,
            Self::StoreConflict | Self::StoreUnknownTaken | Self::StoreUnknownLost => 0.007,
            Self::LeaderCrash => 0.003,
            Self::Stall => 0.002,
            Self::Pause => 0.002,
            Self::Cancel => 0.0003,
            Self::Rerun => 0.01,
            Self::OutOfMemory | Self::PoisonFails | Self::PoisonKills | Self::BadShard => 1.0,
            Self::OldTerm | Self::Group | Self::Forget => 1.0,
            Self::Shrink | Self::Grow | Self::Checkpoint | Self::CheckpointStale => 1.0,
        }
    }

    /// Whether it can use up a try, a generation or a term.
    fn costs(self) -> bool {
        match self {
            Self::WorkerCrash | Self::Absence | Self::SessionBreak => true,
            Self::TaskFault | Self::TaskHang | Self::ReduceFault => true,
            Self::OutputsElsewhere | Self::AbortIgnored | Self::LeaderCrash => true,
            Self::StoreConflict | Self::StoreUnknownTaken | Self::StoreUnknownLost => true,
            Self::StorageGone => false,
            Self::Drain | Self::TaskFatal | Self::OutOfMemory | Self::Lie | Self::Duplicate | Self::Stall => false,
            Self::PoisonFails | Self::PoisonKills | Self::BadShard | Self::OldTerm | Self::Group => false,
            Self::Pause | Self::Cancel | Self::Rerun | Self::Forget => false,
            Self::Shrink | Self::Grow | Self::Checkpoint | Self::CheckpointStale | Self::CheckpointElsewhere => false,
        }
    }
}

/// Any one of these can cost a gang a generation, and it has 20.
const BUDGET: u64 = 15;

/// A task may fail 5 times; the last is not ours to take.
const FAULTS_PER_TASK: u64 = 4;

pub struct Faults {
    pub on: bool,
    fired: BTreeMap<FaultKind, u64>,
    spent: u64,
    per_task: BTreeMap<(AuditId, PhaseIndex, ShardId), u64>,
}

impl Faults {
    pub fn new() -> Self {
        Self { on: true, fired: BTreeMap::new(), spent: 0, per_task: BTreeMap::new() }
    }

    pub fn fired(&self) -> BTreeMap<FaultKind, u64> {
        self.fired.clone()
    }

    pub fn note(&mut self, kind: FaultKind) {
        *self.fired.entry(kind).or_default() += 1;
    }

    pub fn strikes(&mut self, rng: &mut ChaCha8Rng, kind: FaultKind) -> bool {
        let affordable = !kind.costs() || self.spent < BUDGET;
        let strikes = self.on && affordable && rng.random_bool(kind.chance());
        if strikes {
            self.note(kind);
            self.spent += u64::from(kind.costs());
        }
        strikes
    }

    /// As `strikes`, with a limit of its own for each task.
    pub fn strikes_task(
        &mut self,
        rng: &mut ChaCha8Rng,
        kind: FaultKind,
        task: &(AuditId, PhaseIndex, ShardId),
    ) -> bool {
        let so_far = self.per_task.get(task).copied().unwrap_or(0);
        let strikes = so_far < FAULTS_PER_TASK && self.strikes(rng, kind);
        if strikes {
            self.per_task.insert(task.clone(), so_far + 1);
        }
        strikes
    }
}
