//! Each shard is counted once: a stored result never changes, and one attempt only is told it won.

use std::collections::BTreeMap;

use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId};
use lethe_engine::{Command, CommitOutcome, PageRecord, Record};

use super::Seen;

#[derive(Default)]
pub struct CountedOnce {
    winners: BTreeMap<(AuditId, PhaseIndex, ShardId), TaskId>,
}

pub fn check(seen: &Seen<'_>) -> Result<(), String> {
    for (before, after) in seen.changes() {
        if let (Some(Record::Page(_, _, _, before)), Record::Page(audit, phase, _, after)) = (before, after) {
            unchanged(before, after).map_err(|shard| format!("{audit}/{phase}/{shard} has a second result"))?;
        }
    }
    Ok(())
}

fn unchanged(before: &PageRecord, after: &PageRecord) -> Result<(), ShardId> {
    let changed = before.done.iter().find(|(shard, result)| after.done.get(shard) != Some(result));
    changed.map_or(Ok(()), |(shard, _)| Err(*shard))
}

impl CountedOnce {
    pub fn check_act(&mut self, command: &Command) -> Result<(), String> {
        let Command::Acknowledge { task, outcome: CommitOutcome::Applied, .. } = command else { return Ok(()) };
        let shard = (task.audit.clone(), task.phase, task.shard);
        // A rank other than the leading one counts for nothing, and may win in each generation.
        if task.phase == PhaseIndex(2) && task.shard != ShardId(0) {
            return Ok(());
        }
        let winner = self.winners.entry(shard).or_insert_with(|| task.clone());
        if winner == task { Ok(()) } else { Err(format!("{task} was applied after {winner}")) }
    }
}
