//! What one step gives: the keys it changed and the commands it wants done.
//!
//! It must never let a command out ahead of the records it rests on.

use std::collections::BTreeSet;

use lethe_common::ids::AuditId;

use crate::command::Command;
use crate::record::{Change, Record, RecordKey};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    changed: BTreeSet<RecordKey>,
    forgotten: Vec<AuditId>,
    commands: Vec<Command>,
}

impl Outbox {
    pub fn changed(&mut self, key: RecordKey) {
        self.changed.insert(key);
    }

    pub fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Whether the record is among those that this step writes.
    pub fn has_changed(&self, key: &RecordKey) -> bool {
        self.changed.contains(key)
    }

    pub fn forget(&mut self, audit: AuditId) {
        self.changed.retain(|key| *key.audit() != audit);
        self.forgotten.push(audit);
    }

    /// Whether an audit goes: the same batch must not write under its keys again.
    pub fn forgets(&self) -> bool {
        !self.forgotten.is_empty()
    }

    /// Records that this step writes so far.
    pub fn records(&self) -> usize {
        self.changed.len() + self.forgotten.len()
    }

    /// The audits whose own record, their spec in it, this step writes.
    pub fn audits(&self) -> impl Iterator<Item = &AuditId> {
        self.changed.iter().filter_map(|key| match key {
            RecordKey::Audit(audit) => Some(audit),
            RecordKey::Phase(..) | RecordKey::Segment(..) => None,
        })
    }

    /// The whole list: one `Persist` of every changed record in key order, where there is any, then
    /// the commands in the order they were given.
    pub fn seal(self, read: impl Fn(&RecordKey) -> Record) -> Vec<Command> {
        let puts = self.changed.iter().map(|key| Change::Put(read(key)));
        let changes: Vec<Change> = puts.chain(self.forgotten.into_iter().map(Change::Forget)).collect();
        let persist = (!changes.is_empty()).then_some(Command::Persist(changes));
        persist.into_iter().chain(self.commands).collect()
    }
}
