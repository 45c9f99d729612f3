//! What one step gives: the keys it changed and the commands it wants done.
//!
//! It must never let a command out ahead of the records it rests on.

use std::collections::BTreeSet;

use crate::command::Command;
use crate::record::{Record, RecordKey};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    changed: BTreeSet<RecordKey>,
    commands: Vec<Command>,
}

impl Outbox {
    pub fn changed(&mut self, key: RecordKey) {
        self.changed.insert(key);
    }

    pub fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// The whole list: one `Persist` of every changed record in key order, where there is any, then
    /// the commands in the order they were given.
    pub fn seal(self, read: impl Fn(&RecordKey) -> Record) -> Vec<Command> {
        let records: Vec<Record> = self.changed.iter().map(read).collect();
        let persist = (!records.is_empty()).then_some(Command::Persist(records));
        persist.into_iter().chain(self.commands).collect()
    }
}
