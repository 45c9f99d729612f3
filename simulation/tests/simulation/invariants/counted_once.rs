//! Each shard is counted once: a stored end never changes, and one attempt only is told it won.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId};
use lethe_engine::{Command, CommitOutcome, Record, RecordKey, SegmentRecord};

use super::{Seen, fates};
use crate::jobs::TRAIN;

#[derive(Default)]
pub struct CountedOnce {
    winners: BTreeMap<(AuditId, PhaseIndex, ShardId), TaskId>,
}

pub fn check(seen: &Seen<'_>) -> Result<(), String> {
    for (before, after) in seen.changes() {
        if let (before, Record::Segment(audit, phase, _, segment)) = (before, after) {
            let old = match before {
                Some(Record::Segment(_, _, _, old)) => old.entries.len(),
                Some(Record::Audit(..) | Record::Phase(..)) | None => 0,
            };
            if let Some(Record::Segment(_, _, _, old)) = before {
                grown(old, segment).map_err(|shard| format!("{audit}/{phase}/{shard} has another end"))?;
            }
            fresh(seen, &after.key(), &segment.entries[old..].iter().map(|(shard, _)| *shard).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// What was there stays as it was, in its place.
fn grown(before: &SegmentRecord, after: &SegmentRecord) -> Result<(), ShardId> {
    let changed = before.entries.iter().enumerate().find(|(at, entry)| after.entries.get(*at) != Some(*entry));
    changed.map_or(Ok(()), |(_, (shard, _))| Err(*shard))
}

/// New ends are of shards that have none, here or in any other segment.
fn fresh(seen: &Seen<'_>, key: &RecordKey, shards: &[ShardId]) -> Result<(), String> {
    let RecordKey::Segment(audit, phase, _) = key else { return Ok(()) };
    let mut ended: BTreeSet<ShardId> = fates(seen.before, audit, *phase).map(|(shard, _)| shard).collect();
    match shards.iter().find(|shard| !ended.insert(**shard)) {
        Some(shard) => Err(format!("{audit}/{phase}/{shard} ends a second time")),
        None => Ok(()),
    }
}

impl CountedOnce {
    pub fn check_act(&mut self, command: &Command) -> Result<(), String> {
        let Command::Acknowledge { task, outcome: CommitOutcome::Applied, .. } = command else { return Ok(()) };
        let shard = (task.audit.clone(), task.phase, task.shard);
        // A rank other than the leading one counts for nothing, and may win in each generation.
        if task.phase == TRAIN && task.shard != ShardId(0) {
            return Ok(());
        }
        let winner = self.winners.entry(shard).or_insert_with(|| task.clone());
        if winner == task { Ok(()) } else { Err(format!("{task} was applied after {winner}")) }
    }
}
