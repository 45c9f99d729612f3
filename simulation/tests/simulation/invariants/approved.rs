//! The last phase of an audit that needs a person's approval never starts without it.

use lethe_common::ids::PhaseIndex;
use lethe_engine::{AuditRecord, Command, Control, What};

use super::{Records, audit};

pub fn check_act(stored: &Records, command: &Command) -> Result<(), String> {
    let (id, phase) = match command {
        Command::StartMap(start) => (&start.task.audit, start.task.phase),
        Command::StartGangMember(start) => (&start.task.audit, start.task.phase),
        Command::StartReduce { audit, phase, .. } => (audit, *phase),
        Command::Persist(_) | Command::AbortReduce { .. } | Command::Abort { .. } => return Ok(()),
        Command::Acknowledge { .. } | Command::AuditEnded { .. } => return Ok(()),
        Command::AcknowledgeCheckpoint { .. } => return Ok(()),
    };
    match audit(stored, id) {
        Some(record) if phase == last(record) && is_unapproved(record) => {
            Err(format!("{command:?} starts, though nobody has approved its audit"))
        }
        Some(_) | None => Ok(()),
    }
}

pub fn last(record: &AuditRecord) -> PhaseIndex {
    PhaseIndex(record.plan.phases.len() as u32 - 1)
}

pub fn is_unapproved(record: &AuditRecord) -> bool {
    record.options.approval && record.deeds.iter().all(|deed| deed.what != What::Controlled(Control::Approve))
}
