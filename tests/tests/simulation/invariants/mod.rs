//! What must hold whatever fails; one file each, called by the name that a failure prints.
//!
//! They must never look inside the engine: they see its commands and the store.

pub mod counted_once;
pub mod ends;
pub mod forward;
pub mod old_attempts;
pub mod one_task;
pub mod rebuilt;
pub mod stored_first;

use std::collections::BTreeMap;

use lethe_common::time::Millis;
use lethe_engine::{Command, Event, Record, RecordKey};

pub type Records = BTreeMap<RecordKey, Record>;

/// One step as seen from outside, before the store has answered.
pub struct Seen<'a> {
    pub before: &'a Records,
    pub commands: &'a [Command],
}

impl Seen<'_> {
    /// What the step wants stored, each with what is stored now.
    pub fn changes(&self) -> impl Iterator<Item = (Option<&Record>, &Record)> {
        let batches = self.commands.iter().filter_map(|command| match command {
            Command::Persist(batch) => Some(batch),
            _ => None,
        });
        batches.flatten().map(|record| (self.before.get(&record.key()), record))
    }
}

/// Those that must remember.
pub struct Invariants {
    once: counted_once::CountedOnce,
    old: old_attempts::OldAttempts,
    one_task: one_task::OneTask,
}

impl Invariants {
    pub fn new(abort_ms: u64) -> Self {
        Self { once: Default::default(), old: Default::default(), one_task: one_task::OneTask::new(abort_ms) }
    }

    pub fn broken(&self, invariant: &str, why: &str) -> ! {
        panic!("invariant broken: {invariant}: {why}")
    }

    pub fn heard(&mut self, event: &Event) {
        self.one_task.heard(event);
    }

    pub fn new_leader(&mut self) {
        self.one_task.new_leader();
        self.old.new_leader();
    }

    /// Before the store has answered: the shape of the list, and what it wants stored.
    pub fn check_list(&self, seen: &Seen<'_>) {
        let checks = [
            ("nothing is acted on before it is stored", stored_first::check_shape(seen)),
            ("phases only go forward", forward::check(seen)),
            ("each shard is counted once", counted_once::check(seen)),
            ("no result of an old attempt", self.old.check(seen)),
        ];
        self.judge(checks);
    }

    /// Once it is stored: what is acted on.
    pub fn check_acts(&mut self, now: Millis, stored: &Records, commands: &[Command]) {
        for command in commands {
            let checks = [
                ("nothing is acted on before it is stored", stored_first::check_act(stored, command)),
                ("each shard is counted once", self.once.check_act(command)),
                ("no result of an old attempt", self.old.check_act(command)),
                ("a worker has one task", self.one_task.check_act(now, command)),
            ];
            self.judge(checks);
        }
    }

    fn judge<const N: usize>(&self, checks: [(&str, Result<(), String>); N]) {
        for (invariant, outcome) in checks {
            outcome.unwrap_or_else(|why| self.broken(invariant, &why));
        }
    }
}
