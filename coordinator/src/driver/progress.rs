//! How far the tasks in flight are, as their workers said last: soft state, lost at every restart.
//!
//! It must never be taken for a result; only a commit is.

use std::collections::BTreeMap;

use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId, WorkerId};

/// Samples of a map task, steps of a gang rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

impl Progress {
    /// Saturating, since a worker may say anything.
    fn plus(self, other: Self) -> Self {
        Self { done: self.done.saturating_add(other.done), total: self.total.saturating_add(other.total) }
    }
}

#[derive(Debug, Default)]
pub(super) struct ProgressBoard {
    /// The newest attempt of each task.
    tasks: BTreeMap<(AuditId, PhaseIndex, ShardId), Entry>,
}

#[derive(Debug)]
struct Entry {
    task: TaskId,
    worker: WorkerId,
    progress: Progress,
}

fn place(task: &TaskId) -> (AuditId, PhaseIndex, ShardId) {
    (task.audit.clone(), task.phase, task.shard)
}

impl ProgressBoard {
    pub fn note(&mut self, worker: WorkerId, task: TaskId, progress: Progress) {
        let entry = self.tasks.get(&place(&task));
        if entry.is_none_or(|entry| entry.task.attempt <= task.attempt) {
            self.tasks.insert(place(&task), Entry { task, worker, progress });
        }
    }

    pub fn forget_task(&mut self, task: &TaskId) {
        self.tasks.remove(&place(task));
    }

    pub fn forget_worker(&mut self, worker: &WorkerId) {
        self.tasks.retain(|_, entry| entry.worker != *worker);
    }

    pub fn forget_audit(&mut self, audit: &AuditId) {
        self.tasks.retain(|(of, _, _), _| of != audit);
    }

    /// The sum over the tasks of a map.
    pub fn sum(&self, audit: &AuditId, phase: PhaseIndex) -> Progress {
        self.of(audit, phase).fold(Progress::default(), Progress::plus)
    }

    /// The furthest rank of a gang; all ranks take the same steps.
    pub fn furthest(&self, audit: &AuditId, phase: PhaseIndex) -> Progress {
        self.of(audit, phase).max_by_key(|progress| progress.done).unwrap_or_default()
    }

    fn of(&self, audit: &AuditId, phase: PhaseIndex) -> impl Iterator<Item = Progress> {
        let first = (audit.clone(), phase, ShardId(0));
        let last = (audit.clone(), phase, ShardId(u32::MAX));
        self.tasks.range(first..=last).map(|(_, entry)| entry.progress)
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::ids::{Attempt, Term};

    use super::*;

    fn task(shard: u32, counter: u64) -> TaskId {
        let audit = AuditId::new("a").expect("is an id");
        TaskId { audit, phase: PhaseIndex(2), shard: ShardId(shard), attempt: Attempt { term: Term(1), counter } }
    }

    fn worker(text: &str) -> WorkerId {
        WorkerId::new(text).expect("is an id")
    }

    #[test]
    fn an_older_attempt_never_overwrites_a_newer() {
        let mut board = ProgressBoard::default();
        board.note(worker("v"), task(0, 2), Progress { done: 5, total: 10 });
        board.note(worker("w"), task(0, 1), Progress { done: 9, total: 10 });
        assert_eq!(board.sum(&task(0, 1).audit, PhaseIndex(2)), Progress { done: 5, total: 10 });
    }

    #[test]
    fn a_worker_that_says_anything_breaks_nothing() {
        let mut board = ProgressBoard::default();
        let most = Progress { done: u64::MAX, total: u64::MAX };
        board.note(worker("v"), task(0, 1), most);
        board.note(worker("w"), task(1, 1), most);
        assert_eq!(board.sum(&task(0, 1).audit, PhaseIndex(2)), most);
    }

    #[test]
    fn maps_add_up_and_gangs_do_not() {
        let mut board = ProgressBoard::default();
        board.note(worker("v"), task(0, 1), Progress { done: 5, total: 10 });
        board.note(worker("w"), task(1, 2), Progress { done: 6, total: 10 });
        let audit = task(0, 1).audit;
        assert_eq!(board.sum(&audit, PhaseIndex(2)), Progress { done: 11, total: 20 });
        assert_eq!(board.furthest(&audit, PhaseIndex(2)), Progress { done: 6, total: 10 });
        board.forget_worker(&worker("w"));
        assert_eq!(board.sum(&audit, PhaseIndex(2)), Progress { done: 5, total: 10 });
    }
}
