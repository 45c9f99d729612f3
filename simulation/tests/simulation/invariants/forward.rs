//! Phases only go forward: waiting, running, ended, each after the one before it; what ended stays, until it is
//! forgotten.

use lethe_common::ids::PhaseIndex;
use lethe_common::time::Millis;
use lethe_engine::{AuditState, Change, PhaseState, Record, RecordKey};

use super::{Seen, audit};

pub fn check(seen: &Seen<'_>) -> Result<(), String> {
    seen.changes().try_for_each(|(before, after)| match (before, after) {
        (before, Record::Phase(id, phase, after)) => {
            let to = place(&after.state);
            if let Some(Record::Phase(_, _, before)) = before {
                let back = before.generation > after.generation || before.retries > after.retries;
                if place(&before.state) > to || back {
                    return Err(format!("phase {phase} of {id} goes from {before:?} back to {after:?}"));
                }
            }
            if to > 0 { after_the_one_before(seen, id, *phase) } else { Ok(()) }
        }
        (_, Record::Audit(..) | Record::Segment(..)) => Ok(()),
    })
}

fn place(state: &PhaseState) -> u32 {
    match state {
        PhaseState::Waiting => 0,
        PhaseState::Running => 1,
        PhaseState::Done { .. } | PhaseState::Failed { .. } => 2,
    }
}

/// The phase before is done, in the store or by the same batch.
fn after_the_one_before(seen: &Seen<'_>, id: &lethe_common::ids::AuditId, phase: PhaseIndex) -> Result<(), String> {
    let Some(before) = phase.0.checked_sub(1) else { return Ok(()) };
    match seen.after(&RecordKey::Phase(id.clone(), PhaseIndex(before))) {
        Some(Record::Phase(_, _, record)) if matches!(record.state, PhaseState::Done { .. }) => Ok(()),
        other => Err(format!("a phase is past waiting, and the one before it is {other:?}")),
    }
}

/// Nothing of an audit that has ended is written again, and it is forgotten only in time and where nobody uses it.
pub fn check_ended(now: Millis, seen: &Seen<'_>, retention_ms: u64) -> Result<(), String> {
    for change in seen.batch() {
        match change {
            Change::Put(record) => {
                let key = record.key();
                let state = audit(seen.before, key.audit()).map(|record| &record.state);
                if state.is_some_and(|state| *state != AuditState::Running) {
                    return Err(format!("{key:?} is written, though its audit ended as {state:?}"));
                }
            }
            Change::Forget(id) => {
                let at = match audit(seen.before, id).map(|record| &record.state) {
                    Some(
                        AuditState::Succeeded { at } | AuditState::Failed { at, .. } | AuditState::Cancelled { at },
                    ) => at,
                    other => return Err(format!("{id} is forgotten, being {other:?}")),
                };
                let uses = |r: &Record| matches!(r, Record::Audit(_, r) if r.inherited.contains(id));
                if now.since_ms(*at) < retention_ms || seen.before.values().any(uses) {
                    return Err(format!("{id} is forgotten too early"));
                }
            }
        }
    }
    Ok(())
}
