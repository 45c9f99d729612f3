//! Who is there, and what each is doing.
//!
//! It must never decide what a task means; it only knows which ones a worker holds, and until when.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::ids::{AuditId, TaskId, WorkerId};
use lethe_common::time::Millis;

use crate::event::Profile;
use crate::member::{Held, Member, Task, TaskKind};

#[derive(Debug, Clone, Default)]
pub(crate) struct Workers {
    all: BTreeMap<WorkerId, Member>,
    /// Those that may be given a map task, with how many they hold: the least busy first.
    free: BTreeSet<(usize, WorkerId)>,
    /// How many tasks of each audit are held.
    shares: BTreeMap<AuditId, u32>,
    /// Since when nobody has been there.
    pub gone_since: Option<Millis>,
    /// Since when every worker fails one task after the other.
    pub failing_since: Option<Millis>,
    /// How the last worker was lost.
    pub last_loss: String,
}

/// What a worker held when it was lost, or what ran out with its lease: the first was running.
pub(crate) type Dropped = Vec<TaskId>;

impl Workers {
    pub fn join(&mut self, worker: WorkerId, profile: Profile, now: Millis) {
        self.all.insert(worker.clone(), Member::new(profile, now));
        self.index(&worker);
    }

    /// Forgets the worker; gives the tasks that were wanted of it.
    pub fn lose(&mut self, worker: &WorkerId, reason: &str) -> Dropped {
        let Some(member) = self.all.get_mut(worker) else { return Vec::new() };
        self.last_loss = format!("{worker}: {reason}");
        let held = std::mem::take(&mut member.held);
        self.free.remove(&(held.len(), worker.clone()));
        self.all.remove(worker);
        held.iter().for_each(|held| self.count(&held.id.audit, -1));
        held.into_iter().filter(|held| held.aborting.is_none()).map(|held| held.id).collect()
    }

    pub fn drain(&mut self, worker: &WorkerId, reason: String) {
        self.change(worker, |member| member.draining = Some(reason));
    }

    pub fn lease(&mut self, worker: &WorkerId, task: Task, lease_ms: u64) {
        self.count(&task.id.audit, 1);
        self.change(worker, |member| {
            debug_assert!(member.may_take(task.kind), "only workers with room are given tasks");
            member.take(task, lease_ms);
        });
    }

    /// A sign of life of one task the worker holds renews all its leases; of any other it means nothing.
    pub fn renew(&mut self, worker: &WorkerId, renewed: &TaskId, now: Millis) {
        if let Some(member) = self.all.get_mut(worker)
            && member.held.iter().any(|held| held.id == *renewed)
        {
            member.until = now.plus_ms(member.lease_ms);
        }
    }

    /// The worker reported the end of a task: it has room again if it held that one.
    pub fn release(&mut self, worker: &WorkerId, ended: &TaskId, now: Millis) -> Held {
        let mut how = Held::Not;
        self.change(worker, |member| how = member.release(ended, now));
        match how {
            Held::Live | Held::Aborting => self.count(&ended.audit, -1),
            Held::Not => {}
        }
        how
    }

    /// A task that succeeded ends the worker's run of failures; one that failed lengthens it.
    pub fn note_success(&mut self, worker: &WorkerId) {
        self.change(worker, Member::succeeded);
    }

    pub fn note_fault(&mut self, worker: &WorkerId, reason: &str, rest: impl Fn(u32) -> Option<Millis>) {
        self.change(worker, |member| member.failed(reason, rest));
    }

    /// A rank took a step: what failed before is no row any more.
    pub fn note_step(&mut self, worker: &WorkerId) {
        self.change(worker, Member::worked);
    }

    /// Marks a task as to be stopped; false where the worker does not hold it, or was told before.
    pub fn abort(&mut self, worker: &WorkerId, task: &TaskId, until: Millis) -> bool {
        let member = self.all.get_mut(worker);
        let held = member.and_then(|m| m.held.iter_mut().find(|held| held.id == *task && held.aborting.is_none()));
        held.map(|held| held.aborting = Some(until)).is_some()
    }

    /// Gives up waiting for aborts whose deadline passed, and ends rests.
    pub fn forgive(&mut self, now: Millis) {
        let due = |member: &Member| member.has_forgivable(now) || member.rests_until.is_some_and(|until| until <= now);
        let due: Vec<WorkerId> = self.all.iter().filter(|(_, m)| due(m)).map(|(w, _)| w.clone()).collect();
        for worker in due {
            let mut forgiven = Vec::new();
            self.change(&worker, |member| forgiven = member.forgive(now));
            forgiven.iter().for_each(|task| self.count(&task.audit, -1));
        }
    }

    /// Workers whose leases ran out: what is wanted of them, and for how long there was no sign of life.
    pub fn overdue(&self, now: Millis) -> Vec<(WorkerId, Dropped, u64)> {
        let late = self.all.iter().filter(|(_, member)| member.until <= now);
        let live = late.map(|(worker, member)| (worker.clone(), member.live().cloned().collect(), member.lease_ms));
        live.filter(|(_, tasks, _): &(WorkerId, Dropped, u64)| !tasks.is_empty()).collect()
    }

    /// Time in which nobody could be heard counts for nobody.
    pub fn forgive_stall(&mut self, ms: u64) {
        for member in self.all.values_mut() {
            member.until = member.until.plus_ms(ms);
            let aborting = member.held.iter_mut().filter_map(|held| held.aborting.as_mut());
            aborting.for_each(|until| *until = until.plus_ms(ms));
        }
        for since in [&mut self.gone_since, &mut self.failing_since].into_iter().flatten() {
            *since = since.plus_ms(ms);
        }
    }

    /// Those with room for a map task, the least busy first.
    pub fn free(&self) -> impl Iterator<Item = &WorkerId> {
        self.free.iter().map(|(_, worker)| worker)
    }

    /// Those that hold nothing, in their order.
    pub fn idle(&self) -> impl Iterator<Item = &WorkerId> {
        self.free.iter().take_while(|(held, _)| *held == 0).map(|(_, worker)| worker)
    }

    /// Whether it still has to stop something.
    pub fn is_aborting(&self, worker: &WorkerId) -> bool {
        self.all.get(worker).is_some_and(|member| member.held.iter().any(|held| held.aborting.is_some()))
    }

    /// The tasks that are wanted of a worker, the running one first.
    pub fn tasks(&self, worker: &WorkerId) -> impl Iterator<Item = &TaskId> {
        self.all.get(worker).into_iter().flat_map(Member::live)
    }

    /// What runs or waits for an audit: who, and which task.
    pub fn busy_for(&self, audit: &AuditId) -> Vec<(WorkerId, TaskId)> {
        let all = self.all.iter().flat_map(|(worker, member)| member.live().map(move |task| (worker, task)));
        all.filter(|(_, task)| task.audit == *audit).map(|(worker, task)| (worker.clone(), task.clone())).collect()
    }

    pub fn knows(&self, worker: &WorkerId) -> bool {
        self.all.contains_key(worker)
    }

    pub fn host(&self, worker: &WorkerId) -> &str {
        self.all.get(worker).map_or("", |member| &member.profile.host)
    }

    pub fn kind(&self, worker: &WorkerId) -> &str {
        self.all.get(worker).map_or("", |member| &member.profile.kind)
    }

    /// Workers that take new work or will, whatever they are doing now.
    pub fn serving(&self) -> impl Iterator<Item = (&WorkerId, &Member)> {
        self.all.iter().filter(|(_, member)| member.draining.is_none())
    }

    pub fn all(&self) -> impl Iterator<Item = (&WorkerId, &Member)> {
        self.all.iter()
    }

    pub fn is_serving(&self, worker: &WorkerId) -> bool {
        self.all.get(worker).is_some_and(|member| member.draining.is_none())
    }

    pub fn joined(&self) -> usize {
        self.serving().count()
    }

    pub fn share(&self, audit: &AuditId) -> u32 {
        self.shares.get(audit).copied().unwrap_or(0)
    }

    /// Why nobody gets anything done, where every worker fails one task after the other.
    pub fn all_fail(&self) -> Option<String> {
        let mut serving = self.serving().peekable();
        serving.peek()?;
        let fails = |member: &Member| member.fails_in_a_row();
        let (worker, member) = self.serving().next()?;
        serving.all(|(_, member)| fails(member)).then(|| format!("worker {worker}: {}", member.last_fault))
    }

    /// Keeps the notes of since when nobody has been there, or nobody of any use.
    pub fn note_absence(&mut self, now: Millis) {
        let keep = |note: Option<Millis>, holds: bool| holds.then(|| note.unwrap_or(now));
        self.gone_since = keep(self.gone_since, self.all.is_empty());
        self.failing_since = keep(self.failing_since, self.all_fail().is_some());
    }

    fn change(&mut self, worker: &WorkerId, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.all.get_mut(worker) else { return };
        let before = member.held.len();
        change(member);
        self.free.remove(&(before, worker.clone()));
        self.index(worker);
    }

    fn index(&mut self, worker: &WorkerId) {
        let member = &self.all[worker];
        if member.may_take(TaskKind::Map) {
            self.free.insert((member.held.len(), worker.clone()));
        }
    }

    fn count(&mut self, audit: &AuditId, by: i32) {
        let share = self.shares.entry(audit.clone()).or_default();
        *share = share.saturating_add_signed(by);
        if *share == 0 {
            self.shares.remove(audit);
        }
    }
}
