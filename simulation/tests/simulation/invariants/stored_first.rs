//! Nothing is acted on before it is stored: one batch, at the head, and every command rests on it.

use lethe_common::blob::attempt_path;
use lethe_common::ids::{AuditId, PhaseIndex, TaskId};
use lethe_engine::{AuditState, Change, Command, CommitOutcome, Fate, PhaseState};

use super::{Records, Seen, audit, fates, phase};
use crate::jobs::TRAIN;

pub fn check_shape(seen: &Seen<'_>) -> Result<(), String> {
    let persists = seen.commands.iter().enumerate().filter(|(_, c)| matches!(c, Command::Persist(_)));
    match persists.map(|(index, _)| index).collect::<Vec<_>>()[..] {
        [] | [0] => Ok(()),
        ref at => Err(format!("batches are at {at:?} of the list; expected one, at 0")),
    }
}

/// Of an audit that the same step forgot, nothing is left to rest on.
pub fn check_act(stored: &Records, command: &Command) -> Result<(), String> {
    let holds = match command {
        Command::Persist(batch) => batch.iter().all(|change| is_stored(stored, change)),
        Command::StartMap(start) => {
            runs(stored, &start.task.audit, start.task.phase) && fate(stored, &start.task).is_none()
        }
        Command::StartGangMember(start) => {
            runs(stored, &start.task.audit, start.task.phase)
                && phase(stored, &start.task.audit, start.task.phase).is_some_and(|p| p.generation == start.generation)
        }
        Command::StartReduce { audit, phase, .. } => runs(stored, audit, *phase),
        Command::AuditEnded { audit } => state(stored, audit).is_some_and(|state| *state != AuditState::Running),
        Command::Acknowledge { task, outcome: CommitOutcome::Applied, .. } => {
            audit(stored, &task.audit).is_none() || is_won_by(stored, task)
        }
        Command::Acknowledge { outcome: CommitOutcome::Stale | CommitOutcome::Provisional, .. } => true,
        Command::Acknowledge { outcome: CommitOutcome::Refused, .. } => true,
        Command::AcknowledgeCheckpoint { task, step, outcome: CommitOutcome::Applied, .. } => {
            keeps(stored, &task.audit, task.phase, *step)
        }
        Command::AcknowledgeCheckpoint { .. } => true,
        Command::Abort { .. } | Command::AbortReduce { .. } => true,
    };
    if holds { Ok(()) } else { Err(format!("the store does not bear out {command:?}")) }
}

fn is_stored(stored: &Records, change: &Change) -> bool {
    match change {
        Change::Put(record) => stored.get(&record.key()) == Some(record),
        Change::Forget(audit) => stored.keys().all(|key| key.audit() != audit),
    }
}

/// The checkpoint of that step or a later one is stored, or nobody needs one any more.
fn keeps(stored: &Records, id: &AuditId, index: PhaseIndex, step: u64) -> bool {
    let kept = phase(stored, id, index).and_then(|record| record.checkpoint.as_ref());
    !runs(stored, id, index) || kept.is_some_and(|kept| kept.step >= step)
}

fn state<'a>(stored: &'a Records, id: &AuditId) -> Option<&'a AuditState> {
    audit(stored, id).map(|record| &record.state)
}

fn runs(stored: &Records, audit: &AuditId, index: PhaseIndex) -> bool {
    state(stored, audit) == Some(&AuditState::Running)
        && phase(stored, audit, index).is_some_and(|p| p.state == PhaseState::Running)
}

fn fate<'a>(stored: &'a Records, task: &TaskId) -> Option<&'a Fate> {
    fates(stored, &task.audit, task.phase).find(|(shard, _)| *shard == task.shard).map(|(_, fate)| fate)
}

/// The leading rank's or shard's own attempt is stored; other ranks leave nothing behind.
fn is_won_by(stored: &Records, task: &TaskId) -> bool {
    if task.phase == TRAIN {
        let own = |path: &str| path == attempt_path(task, "out");
        return task.shard.0 > 0
            || phase(stored, &task.audit, task.phase).is_some_and(|p| p.outputs.iter().all(|o| own(&o.blob.path)));
    }
    matches!(fate(stored, task), Some(Fate::Done(result)) if result.attempt == task.attempt)
}
