//! One worker of this term: its tasks, its lease, and how well it does.
//!
//! It must never know any other worker.

use lethe_common::ids::TaskId;
use lethe_common::time::Millis;

use crate::event::Profile;

/// The most slots a worker may have, so that the loss of one fits an atomic batch.
const MAX_SLOTS: u32 = 64;

/// Tasks that fail one after the other before the worker itself is taken to be at fault.
const FAULTS_IN_A_ROW: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    Map,
    Gang,
}

/// A task as a worker holds it.
///
/// ```text
///   leased --committed, failed--> (gone)
///      | expired, superseded, cancelled
///      v
///   aborting --committed, failed, deadline--> (gone)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub id: TaskId,
    pub kind: TaskKind,
    pub since: Millis,
    /// Told to stop; no longer waited for after this.
    pub aborting: Option<Millis>,
}

/// How a worker held the task it reported the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Live,
    Aborting,
    /// The worker is gone or does not hold it: an old message.
    Not,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub profile: Profile,
    pub joined: Millis,
    /// In the order in which they were leased: the worker runs them so.
    pub held: Vec<Task>,
    /// All leases of a worker run out together, since only one of its tasks can show a sign of life.
    pub until: Millis,
    pub lease_ms: u64,
    pub draining: Option<String>,
    /// After failures, one longer than the other.
    pub rests_until: Option<Millis>,
    faults_in_a_row: u32,
    pub last_fault: String,
    pub committed: u64,
    pub failed: u64,
}

impl Member {
    pub fn new(profile: Profile, now: Millis) -> Self {
        Self {
            profile,
            joined: now,
            held: Vec::new(),
            until: now,
            lease_ms: 0,
            draining: None,
            rests_until: None,
            faults_in_a_row: 0,
            last_fault: String::new(),
            committed: 0,
            failed: 0,
        }
    }

    pub fn may_take(&self, kind: TaskKind) -> bool {
        let open = self.draining.is_none() && self.rests_until.is_none();
        let room = match kind {
            TaskKind::Map => self.held.len() < self.profile.slots.clamp(1, MAX_SLOTS) as usize,
            TaskKind::Gang => self.held.is_empty(),
        };
        open && room && self.held.iter().all(|held| held.kind == TaskKind::Map)
    }

    /// What waits behind another task does not lengthen that one's lease.
    pub fn take(&mut self, task: Task, lease_ms: u64) {
        self.lease_ms = lease_ms;
        if self.live().next().is_none() {
            self.until = task.since.plus_ms(lease_ms);
        }
        self.held.push(task);
    }

    /// The end of a task is a sign of life too.
    pub fn release(&mut self, ended: &TaskId, now: Millis) -> Held {
        let Some(at) = self.held.iter().position(|held| held.id == *ended) else { return Held::Not };
        let held = self.held.remove(at);
        self.until = now.plus_ms(self.lease_ms);
        if held.aborting.is_some() { Held::Aborting } else { Held::Live }
    }

    pub fn succeeded(&mut self) {
        self.committed += 1;
        self.worked();
    }

    pub fn worked(&mut self) {
        self.faults_in_a_row = 0;
        self.rests_until = None;
    }

    pub fn failed(&mut self, reason: &str, rest: impl Fn(u32) -> Option<Millis>) {
        self.failed += 1;
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        reason.clone_into(&mut self.last_fault);
        self.rests_until = rest(self.faults_in_a_row);
    }

    pub fn fails_in_a_row(&self) -> bool {
        self.faults_in_a_row >= FAULTS_IN_A_ROW
    }

    pub fn has_forgivable(&self, now: Millis) -> bool {
        self.held.iter().any(|held| held.aborting.is_some_and(|until| until <= now))
    }

    /// Ends what is due; gives the tasks that are no longer waited for.
    pub fn forgive(&mut self, now: Millis) -> Vec<TaskId> {
        self.rests_until = self.rests_until.filter(|until| *until > now);
        let due = |held: &Task| held.aborting.is_some_and(|until| until <= now);
        let forgiven = self.held.iter().filter(|held| due(held)).map(|held| held.id.clone()).collect();
        self.held.retain(|held| !due(held));
        forgiven
    }

    /// What is wanted of it, the running one first.
    pub fn live(&self) -> impl Iterator<Item = &TaskId> {
        self.held.iter().filter(|held| held.aborting.is_none()).map(|held| &held.id)
    }
}
