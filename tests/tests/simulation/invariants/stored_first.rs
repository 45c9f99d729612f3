//! Nothing is acted on before it is stored: one batch, at the head, and every command rests on it.

use lethe_common::blob::{NamedBlob, attempt_path};
use lethe_common::ids::{AuditId, PhaseIndex, TaskId};
use lethe_engine::{AuditState, Command, CommitOutcome, PhaseRecord, PhaseState, Record, RecordKey, SHARDS_PER_PAGE};

use super::{Records, Seen};

pub fn check_shape(seen: &Seen<'_>) -> Result<(), String> {
    let persists = seen.commands.iter().enumerate().filter(|(_, c)| matches!(c, Command::Persist(_)));
    match persists.map(|(index, _)| index).collect::<Vec<_>>()[..] {
        [] | [0] => Ok(()),
        ref at => Err(format!("batches are at {at:?} of the list; expected one, at 0")),
    }
}

pub fn check_act(stored: &Records, command: &Command) -> Result<(), String> {
    let holds = match command {
        Command::Persist(batch) => batch.iter().all(|record| stored.get(&record.key()) == Some(record)),
        Command::StartMap(start) => {
            runs(stored, &start.task.audit, start.task.phase) && won(stored, &start.task).is_none()
        }
        Command::StartGangMember(start) => {
            runs(stored, &start.task.audit, start.task.phase)
                && phase(stored, &start.task.audit, start.task.phase).is_some_and(|p| p.generation == start.generation)
        }
        Command::StartReduce { audit, phase, .. } => runs(stored, audit, *phase),
        Command::AuditEnded { audit } => state(stored, audit).is_some_and(|state| *state != AuditState::Running),
        Command::Acknowledge { task, outcome: CommitOutcome::Applied, .. } => is_won_by(stored, task),
        Command::Acknowledge { outcome: CommitOutcome::Stale, .. } => true,
        Command::Abort { .. } | Command::AbortReduce { .. } => true,
    };
    if holds { Ok(()) } else { Err(format!("the store does not bear out {command:?}")) }
}

fn state<'a>(stored: &'a Records, audit: &AuditId) -> Option<&'a AuditState> {
    match stored.get(&RecordKey::Audit(audit.clone()))? {
        Record::Audit(_, record) => Some(&record.state),
        Record::Phase(..) | Record::Page(..) => None,
    }
}

fn phase<'a>(stored: &'a Records, audit: &AuditId, phase: PhaseIndex) -> Option<&'a PhaseRecord> {
    match stored.get(&RecordKey::Phase(audit.clone(), phase))? {
        Record::Phase(_, _, record) => Some(record),
        Record::Audit(..) | Record::Page(..) => None,
    }
}

fn runs(stored: &Records, audit: &AuditId, index: PhaseIndex) -> bool {
    state(stored, audit) == Some(&AuditState::Running)
        && phase(stored, audit, index).is_some_and(|p| p.state == PhaseState::Running)
}

/// What the store holds for a shard, or for a gang's leading rank.
fn won<'a>(stored: &'a Records, task: &TaskId) -> Option<&'a [NamedBlob]> {
    let page = RecordKey::Page(task.audit.clone(), task.phase, task.shard.0 / SHARDS_PER_PAGE);
    match stored.get(&page) {
        Some(Record::Page(_, _, _, page)) => page.done.get(&task.shard).map(|result| &result.outputs[..]),
        _ => phase(stored, &task.audit, task.phase).map(|p| &p.outputs[..]).filter(|outputs| !outputs.is_empty()),
    }
}

/// The leading rank's or shard's own path is stored; other ranks leave nothing behind.
fn is_won_by(stored: &Records, task: &TaskId) -> bool {
    let is_other_rank = task.phase == PhaseIndex(2) && task.shard.0 > 0;
    let own = |outputs: &[NamedBlob]| outputs[0].blob.path == attempt_path(task, &outputs[0].name);
    is_other_rank || won(stored, task).is_some_and(own)
}
