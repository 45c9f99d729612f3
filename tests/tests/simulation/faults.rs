//! What may go wrong, how often, and how often it did.
//!
//! It must never cause more trouble than the engine's limits allow an audit to survive: every fault
//! here is one that a correct engine gets over.

use std::collections::BTreeMap;

use lethe_common::ids::{AuditId, PhaseIndex, ShardId};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    WorkerCrash,
    SessionBreak,
    TaskFault,
    TaskHang,
    AbortIgnored,
    ReduceFault,
    Duplicate,
    StoreConflict,
    StoreUnknown,
    LeaderCrash,
}

impl FaultKind {
    pub const ALL: &'static [Self] = &[
        Self::WorkerCrash,
        Self::SessionBreak,
        Self::TaskFault,
        Self::TaskHang,
        Self::AbortIgnored,
        Self::ReduceFault,
        Self::Duplicate,
        Self::StoreConflict,
        Self::StoreUnknown,
        Self::LeaderCrash,
    ];

    /// How likely it is each time it could happen.
    fn chance(self) -> f64 {
        match self {
            Self::WorkerCrash | Self::SessionBreak => 0.002,
            Self::TaskFault | Self::TaskHang => 0.03,
            Self::AbortIgnored | Self::ReduceFault | Self::Duplicate => 0.2,
            Self::StoreConflict | Self::StoreUnknown => 0.01,
            Self::LeaderCrash => 0.002,
        }
    }

    fn is_harmless(self) -> bool {
        match self {
            Self::Duplicate => true,
            Self::WorkerCrash | Self::SessionBreak | Self::TaskFault | Self::TaskHang | Self::ReduceFault => false,
            Self::AbortIgnored | Self::StoreConflict | Self::StoreUnknown | Self::LeaderCrash => false,
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
    per_task: BTreeMap<(AuditId, PhaseIndex, ShardId), u64>,
}

impl Faults {
    pub fn new() -> Self {
        Self { on: true, fired: BTreeMap::new(), per_task: BTreeMap::new() }
    }

    pub fn fired(&self) -> BTreeMap<FaultKind, u64> {
        self.fired.clone()
    }

    pub fn strikes(&mut self, rng: &mut ChaCha8Rng, kind: FaultKind) -> bool {
        let strikes = self.on && self.affordable(kind) && rng.random_bool(kind.chance());
        if strikes {
            *self.fired.entry(kind).or_default() += 1;
        }
        strikes
    }

    /// As `strikes`, with a limit of its own for each task.
    pub fn strikes_task(
        &mut self,
        rng: &mut ChaCha8Rng,
        kind: FaultKind,
        task: (AuditId, PhaseIndex, ShardId),
    ) -> bool {
        let so_far = self.per_task.get(&task).copied().unwrap_or(0);
        let strikes = so_far < FAULTS_PER_TASK && self.strikes(rng, kind);
        if strikes {
            self.per_task.insert(task, so_far + 1);
        }
        strikes
    }

    fn affordable(&self, kind: FaultKind) -> bool {
        let spent: u64 = self.fired.iter().filter(|(kind, _)| !kind.is_harmless()).map(|(_, times)| times).sum();
        kind.is_harmless() || spent < BUDGET
    }
}
