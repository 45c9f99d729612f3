//! A quarantined shard is no later phase's task, and no task of its own phase again.

use lethe_common::ids::PhaseIndex;
use lethe_engine::{Command, Fate};

use super::{Records, audit, fates};

pub fn check_act(stored: &Records, command: &Command) -> Result<(), String> {
    let Command::StartMap(start) = command else { return Ok(()) };
    let task = &start.task;
    let Some(record) = audit(stored, &task.audit) else { return Ok(()) };
    for phase in (0..=task.phase.0).map(PhaseIndex) {
        let owner = record.inherited.get(phase.0 as usize).unwrap_or(&task.audit);
        let given_up = |(shard, fate): (_, &Fate)| shard == task.shard && matches!(fate, Fate::Quarantined { .. });
        if fates(stored, owner, phase).any(given_up) {
            return Err(format!("{task} starts, though phase {phase} gave the shard up"));
        }
    }
    Ok(())
}
