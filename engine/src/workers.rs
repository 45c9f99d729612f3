//! Who is there, and what each is doing.
//!
//! It must never decide what a task means; it only knows which one a worker holds, and until when.

use std::collections::BTreeMap;

use lethe_common::ids::{AuditId, TaskId, WorkerId};
use lethe_common::time::Millis;

/// One worker of this term.
///
/// ```text
///   joined -> Idle --lease--> Busy --committed, failed--> Idle
///                              | expired, superseded, cancelled
///                              v
///                           Aborting --committed, failed, deadline--> Idle
///   any --lost--> gone
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
enum WorkerState {
    Idle,
    Busy { task: TaskId, lease_ms: u64, until: Millis },
    Aborting { task: TaskId, until: Millis },
}

/// How a worker held the task it reported the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Busy,
    Aborting,
    /// The worker is gone or holds another task: an old message.
    Not,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Workers {
    all: BTreeMap<WorkerId, WorkerState>,
    /// Since when nobody has been there.
    pub gone_since: Option<Millis>,
}

impl Workers {
    pub fn join(&mut self, worker: WorkerId) {
        self.all.insert(worker, WorkerState::Idle);
    }

    /// Forgets the worker; gives the task it was busy with.
    pub fn lose(&mut self, worker: &WorkerId) -> Option<TaskId> {
        match self.all.remove(worker)? {
            WorkerState::Busy { task, .. } => Some(task),
            WorkerState::Idle | WorkerState::Aborting { .. } => None,
        }
    }

    pub fn lease(&mut self, worker: &WorkerId, task: TaskId, lease_ms: u64, now: Millis) {
        let busy = WorkerState::Busy { task, lease_ms, until: now.plus_ms(lease_ms) };
        let before = self.all.insert(worker.clone(), busy);
        debug_assert_eq!(before, Some(WorkerState::Idle), "only idle workers are given tasks");
    }

    /// A sign of life of the task the worker holds; of any other it means nothing.
    pub fn renew(&mut self, worker: &WorkerId, renewed: &TaskId, now: Millis) {
        if let Some(WorkerState::Busy { task, lease_ms, until }) = self.all.get_mut(worker)
            && task == renewed
        {
            *until = now.plus_ms(*lease_ms);
        }
    }

    /// The worker reported the end of a task: idle again if that was the one it held.
    pub fn release(&mut self, worker: &WorkerId, ended: &TaskId) -> Held {
        let Some(state) = self.all.get_mut(worker) else { return Held::Not };
        let held = match state {
            WorkerState::Busy { task, .. } if task == ended => Held::Busy,
            WorkerState::Aborting { task, .. } if task == ended => Held::Aborting,
            WorkerState::Idle | WorkerState::Busy { .. } | WorkerState::Aborting { .. } => return Held::Not,
        };
        *state = WorkerState::Idle;
        held
    }

    /// Marks a busy worker's task as to be stopped; gives the task.
    pub fn abort(&mut self, worker: &WorkerId, until: Millis) -> Option<TaskId> {
        let state = self.all.get_mut(worker)?;
        let WorkerState::Busy { task, .. } = state else { return None };
        let task = task.clone();
        *state = WorkerState::Aborting { task: task.clone(), until };
        Some(task)
    }

    /// Gives up waiting for aborts whose deadline passed.
    pub fn forgive(&mut self, now: Millis) {
        for state in self.all.values_mut() {
            if matches!(state, WorkerState::Aborting { until, .. } if *until <= now) {
                *state = WorkerState::Idle;
            }
        }
    }

    /// Leases that ran out: who holds them, what, and for how long there was no sign of life.
    pub fn overdue(&self, now: Millis) -> Vec<(WorkerId, TaskId, u64)> {
        let overdue = self.all.iter().filter_map(|(worker, state)| match state {
            WorkerState::Busy { task, lease_ms, until } if *until <= now => {
                Some((worker.clone(), task.clone(), *lease_ms))
            }
            WorkerState::Idle | WorkerState::Busy { .. } | WorkerState::Aborting { .. } => None,
        });
        overdue.collect()
    }

    pub fn idle(&self) -> Vec<WorkerId> {
        self.all.iter().filter(|(_, s)| matches!(s, WorkerState::Idle)).map(|(w, _)| w.clone()).collect()
    }

    pub fn is_idle(&self, worker: &WorkerId) -> bool {
        matches!(self.all.get(worker), Some(WorkerState::Idle))
    }

    pub fn is_aborting(&self, worker: &WorkerId) -> bool {
        matches!(self.all.get(worker), Some(WorkerState::Aborting { .. }))
    }

    /// The task a worker is busy with.
    pub fn task(&self, worker: &WorkerId) -> Option<&TaskId> {
        match self.all.get(worker)? {
            WorkerState::Busy { task, .. } => Some(task),
            WorkerState::Idle | WorkerState::Aborting { .. } => None,
        }
    }

    pub fn busy_for(&self, audit: &AuditId) -> Vec<WorkerId> {
        self.all.keys().filter(|w| self.task(w).is_some_and(|t| t.audit == *audit)).cloned().collect()
    }

    pub fn joined(&self) -> usize {
        self.all.len()
    }

    /// Keeps the note of since when nobody has been there.
    pub fn note_absence(&mut self, now: Millis) {
        if self.all.is_empty() {
            self.gone_since.get_or_insert(now);
        } else {
            self.gone_since = None;
        }
    }
}
