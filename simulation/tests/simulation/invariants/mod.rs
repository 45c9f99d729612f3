//! What must hold whatever fails; one file each, called by the name that a failure prints.
//!
//! They must never look inside the engine: they see its commands and the store.

pub mod approved;
pub mod counted_once;
pub mod ends;
pub mod forward;
pub mod gangs;
pub mod limits;
pub mod old_attempts;
pub mod paused;
pub mod quarantined;
pub mod quota;
pub mod rebuilt;
pub mod second_opinion;
pub mod slots;
pub mod stored_first;

use std::collections::BTreeMap;

use lethe_common::ids::{AuditId, PhaseIndex, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{AuditRecord, Change, Command, Event, Fate, Knobs, PhaseRecord, Record, RecordKey};

use crate::workers::SimWorker;

pub type Records = BTreeMap<RecordKey, Record>;

/// One step as seen from outside, before the store has answered.
pub struct Seen<'a> {
    pub before: &'a Records,
    pub commands: &'a [Command],
}

impl Seen<'_> {
    pub fn batch(&self) -> &[Change] {
        batch(self.commands)
    }

    /// What the step wants stored, each with what is stored now.
    pub fn changes(&self) -> impl Iterator<Item = (Option<&Record>, &Record)> {
        self.batch().iter().filter_map(|change| match change {
            Change::Put(record) => Some((self.before.get(&record.key()), record)),
            Change::Forget(_) => None,
        })
    }

    /// The store as the step wants it.
    pub fn after(&self, key: &RecordKey) -> Option<&Record> {
        let changed = self.changes().map(|(_, after)| after).find(|record| record.key() == *key);
        changed.or_else(|| self.before.get(key))
    }
}

pub fn batch(commands: &[Command]) -> &[Change] {
    match commands.first() {
        Some(Command::Persist(batch)) => batch,
        _ => &[],
    }
}

pub fn audit<'a>(stored: &'a Records, audit: &AuditId) -> Option<&'a AuditRecord> {
    match stored.get(&RecordKey::Audit(audit.clone()))? {
        Record::Audit(_, record) => Some(record),
        Record::Phase(..) | Record::Segment(..) => None,
    }
}

pub fn phase<'a>(stored: &'a Records, audit: &AuditId, phase: PhaseIndex) -> Option<&'a PhaseRecord> {
    match stored.get(&RecordKey::Phase(audit.clone(), phase))? {
        Record::Phase(_, _, record) => Some(record),
        Record::Audit(..) | Record::Segment(..) => None,
    }
}

/// Every stored end of a shard in one phase, in the order of segments.
pub fn fates<'a>(
    stored: &'a Records,
    audit: &AuditId,
    phase: PhaseIndex,
) -> impl Iterator<Item = (lethe_common::ids::ShardId, &'a Fate)> {
    let key = |segment| RecordKey::Segment(audit.clone(), phase, segment);
    stored
        .range(key(0)..=key(u32::MAX))
        .flat_map(|(_, record)| match record {
            Record::Segment(_, _, _, segment) => &segment.entries[..],
            Record::Audit(..) | Record::Phase(..) => &[],
        })
        .map(|(shard, fate)| (*shard, fate))
}

/// Those that must remember.
pub struct Invariants {
    pub opinions: second_opinion::SecondOpinion,
    once: counted_once::CountedOnce,
    old: old_attempts::OldAttempts,
    slots: slots::Slots,
    gangs: gangs::Gangs,
    knobs: Knobs,
}

impl Invariants {
    pub fn new(knobs: &Knobs, workers: &BTreeMap<WorkerId, SimWorker>) -> Self {
        Self {
            opinions: second_opinion::SecondOpinion::new(workers),
            once: Default::default(),
            old: Default::default(),
            slots: slots::Slots::new(knobs, workers),
            gangs: Default::default(),
            knobs: knobs.clone(),
        }
    }

    pub fn broken(&self, invariant: &str, why: &str) -> ! {
        panic!("invariant broken: {invariant}: {why}")
    }

    /// All that one step took.
    pub fn heard(&mut self, now: Millis, events: &[Event]) {
        self.slots.begin(now);
        self.opinions.begin();
        for event in events {
            self.slots.heard(event);
            self.opinions.heard(event);
            self.gangs.heard(event);
        }
    }

    pub fn new_leader(&mut self) {
        self.slots.new_leader();
        self.old.new_leader();
        self.gangs.new_leader();
        self.opinions.new_leader();
    }

    /// Before the store has answered: the shape of the list, and what it wants stored.
    pub fn check_list(&mut self, now: Millis, seen: &Seen<'_>) {
        let checks = [
            ("nothing is acted on before it is stored", stored_first::check_shape(seen)),
            ("a batch fits its limits", limits::check(seen)),
            ("phases only go forward", forward::check(seen)),
            ("terminal states never change", forward::check_ended(now, seen, self.knobs.retention_ms)),
            ("each shard is counted once", counted_once::check(seen)),
            ("no result of an old attempt", self.old.check(seen)),
            ("two workers gave a checked result", self.opinions.check(seen)),
            ("a gang's checkpoint only goes forward, by its own leading rank", self.gangs.check(seen)),
            ("no more audits run than the quotas allow", quota::check(seen, &self.knobs)),
        ];
        self.judge(checks);
    }

    /// Once nothing fails any more, after each round.
    pub fn check_calm(&mut self, now: Millis, stored: &Records) {
        let limit_ms = self.knobs.shrink_ms + self.knobs.lease_ms + self.knobs.abort_ms;
        let idle = self.slots.are_all_idle(now);
        let checks = [("a gang that can run does run", self.gangs.check_calm(stored, idle, (now, limit_ms)))];
        self.judge(checks);
    }

    /// Once it is stored: what is acted on.
    pub fn check_acts(&mut self, now: Millis, stored: &Records, commands: &[Command]) {
        self.judge([("a gang has no fewer ranks than its floor, and no more than its size", {
            self.gangs.check_size(stored, commands)
        })]);
        for command in commands {
            let checks = [
                ("nothing is acted on before it is stored", stored_first::check_act(stored, command)),
                ("each shard is counted once", self.once.check_act(command)),
                ("no result of an old attempt", self.old.check_act(command)),
                (
                    "a worker never holds more than its slots, and its leases last while it lives",
                    self.slots.check_act(now, command),
                ),
                ("a quarantined shard is no later phase's task", quarantined::check_act(stored, command)),
                ("nothing new of a paused audit starts", paused::check_act(stored, command)),
                ("what needs approval does not end without it", approved::check_act(stored, command)),
                ("a gang begins with what is kept", self.gangs.check_act(stored, command)),
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
