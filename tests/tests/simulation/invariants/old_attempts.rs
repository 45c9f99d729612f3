//! No result of an old attempt: what is stored was issued by this leader, a done phase is closed, and a
//! gang's or reduce's result is of its last try.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::blob::attempt_path;
use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId};
use lethe_engine::{Command, PageRecord, PhaseState, Record, RecordKey};

use super::{Records, Seen};

#[derive(Default)]
pub struct OldAttempts {
    /// The last try of each reduce, and rank 0 of the last generation of each gang.
    leading: BTreeMap<(AuditId, PhaseIndex), TaskId>,
    /// Where the tries of this term write.
    issued: BTreeSet<String>,
}

impl OldAttempts {
    pub fn check(&self, seen: &Seen<'_>) -> Result<(), String> {
        for (before, after) in seen.changes() {
            match after {
                Record::Audit(..) => {}
                Record::Page(audit, phase, _, page) => {
                    closed(seen.before, audit, *phase)?;
                    self.of_this_term(before, page)?;
                }
                Record::Phase(audit, phase, _) if before != Some(after) => {
                    closed(seen.before, audit, *phase)?;
                    self.of_last_try(after)?;
                }
                Record::Phase(..) => {}
            }
        }
        Ok(())
    }

    fn of_last_try(&self, record: &Record) -> Result<(), String> {
        let Record::Phase(audit, phase, record) = record else { return Ok(()) };
        let (Some(leading), Some(output)) = (self.leading.get(&(audit.clone(), *phase)), record.outputs.first()) else {
            return Ok(());
        };
        let expected = attempt_path(leading, &output.name);
        if output.blob.path == expected { Ok(()) } else { Err(format!("{} won, not {expected}", output.blob.path)) }
    }

    fn of_this_term(&self, before: Option<&Record>, page: &PageRecord) -> Result<(), String> {
        let old = |shard| matches!(before, Some(Record::Page(_, _, _, before)) if before.done.contains_key(shard));
        let new = page.done.iter().filter(|(shard, _)| !old(*shard)).flat_map(|(_, result)| &result.outputs);
        match new.map(|output| &output.blob.path).find(|path| !self.issued.contains(*path)) {
            Some(path) => Err(format!("{path} won, and this leader issued no such try")),
            None => Ok(()),
        }
    }

    pub fn new_leader(&mut self) {
        self.issued.clear();
    }

    pub fn check_act(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::StartMap(start) => drop(self.issued.insert(attempt_path(&start.task, "out"))),
            Command::StartGangMember(start) if start.task.shard == ShardId(0) => self.lead(start.task.clone()),
            Command::StartReduce { audit, phase, attempt, .. } => {
                self.lead(TaskId { audit: audit.clone(), phase: *phase, shard: ShardId(0), attempt: *attempt });
            }
            Command::StartGangMember(_) | Command::Persist(_) | Command::AbortReduce { .. } => {}
            Command::Abort { .. } | Command::Acknowledge { .. } | Command::AuditEnded { .. } => {}
        }
        Ok(())
    }

    fn lead(&mut self, task: TaskId) {
        self.leading.insert((task.audit.clone(), task.phase), task);
    }
}

fn closed(stored: &Records, audit: &AuditId, phase: PhaseIndex) -> Result<(), String> {
    match stored.get(&RecordKey::Phase(audit.clone(), phase)) {
        Some(Record::Phase(_, _, record)) if matches!(record.state, PhaseState::Done { .. }) => {
            Err(format!("phase {phase} of {audit} is done, and something of it changes"))
        }
        _ => Ok(()),
    }
}
