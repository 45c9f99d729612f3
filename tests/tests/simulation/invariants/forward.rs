//! Phases only go forward: waiting, running, ended, each after the one before it; what ended stays.

use lethe_common::ids::PhaseIndex;
use lethe_engine::{AuditState, PhaseState, Record, RecordKey};

use super::Seen;

pub fn check(seen: &Seen<'_>) -> Result<(), String> {
    seen.changes().try_for_each(|(before, after)| match (before, after) {
        (Some(Record::Audit(id, before)), Record::Audit(_, after)) => {
            let ended = before.state != AuditState::Running;
            if ended { Err(format!("{id} ended as {:?} and becomes {:?}", before.state, after.state)) } else { Ok(()) }
        }
        (Some(Record::Phase(id, phase, before)), Record::Phase(_, _, after)) => {
            let (from, to) = (place(&before.state), place(&after.state));
            if from > to || before.generation > after.generation || before.retries > after.retries {
                return Err(format!("phase {phase} of {id} goes from {before:?} back to {after:?}"));
            }
            if to > 0 { after_the_one_before(seen, &after_key(id, *phase)) } else { Ok(()) }
        }
        _ => Ok(()),
    })
}

fn place(state: &PhaseState) -> u32 {
    match state {
        PhaseState::Waiting => 0,
        PhaseState::Running => 1,
        PhaseState::Done { .. } | PhaseState::Failed { .. } => 2,
    }
}

fn after_key(id: &lethe_common::ids::AuditId, phase: PhaseIndex) -> Option<RecordKey> {
    phase.0.checked_sub(1).map(|before| RecordKey::Phase(id.clone(), PhaseIndex(before)))
}

/// The phase before is done, in the store or by the same batch.
fn after_the_one_before(seen: &Seen<'_>, key: &Option<RecordKey>) -> Result<(), String> {
    let Some(key) = key else { return Ok(()) };
    let in_batch = seen.changes().map(|(_, after)| after).find(|record| record.key() == *key);
    match in_batch.or(seen.before.get(key)) {
        Some(Record::Phase(_, _, record)) if matches!(record.state, PhaseState::Done { .. }) => Ok(()),
        other => Err(format!("a phase is past waiting, and the one before it is {other:?}")),
    }
}
