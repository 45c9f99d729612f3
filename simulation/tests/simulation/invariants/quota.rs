//! No more audits run than the quotas allow: one begins only where there is room.

use lethe_common::ids::PhaseIndex;
use lethe_engine::{AuditRecord, AuditState, Knobs, PhaseState, Record, RecordKey};

use super::{Seen, approved};

pub fn check(seen: &Seen<'_>, knobs: &Knobs) -> Result<(), String> {
    let started = seen.changes().filter_map(|(before, after)| match (before, after) {
        (before, Record::Phase(id, phase, after)) if after.state == PhaseState::Running => {
            let waited = match before {
                Some(Record::Phase(_, _, before)) => before.state == PhaseState::Waiting,
                Some(Record::Audit(..) | Record::Segment(..)) | None => true,
            };
            waited.then_some((id, *phase))
        }
        _ => None,
    });
    for (id, phase) in started {
        let Some(Record::Audit(_, record)) = seen.after(&RecordKey::Audit(id.clone())) else { continue };
        if phase.0 as usize == record.inherited.len() {
            room(seen, knobs, record)?;
        }
    }
    Ok(())
}

fn room(seen: &Seen<'_>, knobs: &Knobs, record: &AuditRecord) -> Result<(), String> {
    let keys = seen.before.keys().cloned().chain(seen.changes().map(|(_, after)| after.key()));
    let ids: std::collections::BTreeSet<_> = keys.map(|key| key.audit().clone()).collect();
    let running = ids.iter().filter_map(|id| match seen.after(&RecordKey::Audit(id.clone())) {
        Some(Record::Audit(_, other)) if runs(seen, id, other) => Some(&other.options.submitter),
        _ => None,
    });
    let running: Vec<_> = running.collect();
    let own = running.iter().filter(|submitter| ***submitter == record.options.submitter).count();
    let (all, limits) = (running.len(), (knobs.max_running as usize, knobs.max_running_per_submitter as usize));
    match all <= limits.0 && own <= limits.1 {
        true => Ok(()),
        false => {
            Err(format!("an audit of {:?} begins as number {own} of its and {all} of all", record.options.submitter))
        }
    }
}

fn runs(seen: &Seen<'_>, id: &lethe_common::ids::AuditId, record: &AuditRecord) -> bool {
    let own = RecordKey::Phase(id.clone(), PhaseIndex(record.inherited.len() as u32));
    let begun = match seen.after(&own) {
        Some(Record::Phase(_, _, phase)) => phase.state != PhaseState::Waiting,
        Some(Record::Audit(..) | Record::Segment(..)) | None => false,
    };
    begun && record.state == AuditState::Running && record.paused.is_none() && !awaits_approval(seen, id, record)
}

fn awaits_approval(seen: &Seen<'_>, id: &lethe_common::ids::AuditId, record: &AuditRecord) -> bool {
    let is_done = |phase: u32| match seen.after(&RecordKey::Phase(id.clone(), PhaseIndex(phase))) {
        Some(Record::Phase(_, _, phase)) => matches!(phase.state, PhaseState::Done { .. }),
        Some(Record::Audit(..) | Record::Segment(..)) | None => false,
    };
    approved::is_unapproved(record) && (0..approved::last(record).0).all(is_done)
}
