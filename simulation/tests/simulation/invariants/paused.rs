//! Nothing new of a paused audit starts.

use lethe_engine::Command;

use super::{Records, audit};

pub fn check_act(stored: &Records, command: &Command) -> Result<(), String> {
    let id = match command {
        Command::StartMap(start) => &start.task.audit,
        Command::StartGangMember(start) => &start.task.audit,
        Command::StartReduce { audit, .. } => audit,
        Command::Persist(_) | Command::AbortReduce { .. } | Command::Abort { .. } => return Ok(()),
        Command::Acknowledge { .. } | Command::AuditEnded { .. } => return Ok(()),
        Command::AcknowledgeCheckpoint { .. } => return Ok(()),
    };
    match audit(stored, id).and_then(|record| record.paused) {
        Some(since) => Err(format!("{command:?} starts, though its audit is paused since {since:?}")),
        None => Ok(()),
    }
}
