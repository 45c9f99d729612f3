//! No result of an old attempt: what is stored was issued by this leader, a done phase is closed, and a
//! gang's or reduce's result is of its last try.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::blob::attempt_path;
use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId};
use lethe_engine::{Command, Fate, PhaseState, Record, SegmentRecord};

use super::{Records, Seen, phase};

#[derive(Default)]
pub struct OldAttempts {
    /// The last try of each reduce, and rank 0 of the last generation of each gang.
    leading: BTreeMap<(AuditId, PhaseIndex), TaskId>,
    /// The map tries of this term.
    issued: BTreeSet<TaskId>,
}

impl OldAttempts {
    pub fn check(&self, seen: &Seen<'_>) -> Result<(), String> {
        for (before, after) in seen.changes() {
            match after {
                Record::Audit(..) => {}
                Record::Segment(audit, phase, _, segment) => {
                    closed(seen.before, audit, *phase)?;
                    self.of_this_term((audit, *phase), before, segment)?;
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

    fn of_this_term(
        &self,
        (audit, phase): (&AuditId, PhaseIndex),
        before: Option<&Record>,
        segment: &SegmentRecord,
    ) -> Result<(), String> {
        let old = match before {
            Some(Record::Segment(_, _, _, before)) => before.entries.len(),
            Some(Record::Audit(..) | Record::Phase(..)) | None => 0,
        };
        for (shard, fate) in &segment.entries[old.min(segment.entries.len())..] {
            let Fate::Done(result) = fate else { continue };
            let task = TaskId { audit: audit.clone(), phase, shard: *shard, attempt: result.attempt };
            if !self.issued.contains(&task) {
                return Err(format!("{task} won, and this leader issued no such try"));
            }
        }
        Ok(())
    }

    pub fn new_leader(&mut self) {
        self.issued.clear();
    }

    pub fn check_act(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::StartMap(start) => {
                if !self.issued.insert(start.task.clone()) {
                    return Err(format!("{} is issued twice", start.task));
                }
            }
            Command::StartGangMember(start) if start.task.shard == ShardId(0) => self.lead(start.task.clone()),
            Command::StartReduce { audit, phase, attempt, .. } => {
                self.lead(TaskId { audit: audit.clone(), phase: *phase, shard: ShardId(0), attempt: *attempt });
            }
            Command::StartGangMember(_) | Command::Persist(_) | Command::AbortReduce { .. } => {}
            Command::Abort { .. } | Command::Acknowledge { .. } | Command::AuditEnded { .. } => {}
            Command::AcknowledgeCheckpoint { .. } => {}
        }
        Ok(())
    }

    fn lead(&mut self, task: TaskId) {
        self.leading.insert((task.audit.clone(), task.phase), task);
    }
}

fn closed(stored: &Records, audit: &AuditId, index: PhaseIndex) -> Result<(), String> {
    match phase(stored, audit, index) {
        Some(record) if matches!(record.state, PhaseState::Done { .. }) => {
            Err(format!("phase {index} of {audit} is done, and something of it changes"))
        }
        Some(_) | None => Ok(()),
    }
}
