//! Every audit ends, and with exactly what it would have come to had nothing failed.

use lethe_common::blob::Digest;
use lethe_common::ids::{AuditId, PhaseIndex, ShardId};
use lethe_engine::{AuditState, Fate};

use super::{Records, audit, fates, phase};
use crate::jobs::{Job, KINDS, SCORE, digest};
use crate::reducers::conclusion;

pub fn has_ended(stored: &Records, id: &AuditId) -> bool {
    audit(stored, id).is_some_and(|record| record.state != AuditState::Running)
}

pub fn check(stored: &Records, jobs: &[Job]) -> Result<(), String> {
    jobs.iter().try_for_each(|job| match audit(stored, &job.id).map(|record| &record.state) {
        Some(AuditState::Succeeded { .. }) => succeeded(stored, job),
        Some(AuditState::Cancelled { .. }) if job.cancelled => Ok(()),
        Some(AuditState::Failed { reason, .. }) if job.fatal && reason.contains("fatal") => Ok(()),
        Some(AuditState::Failed { reason, .. }) if lost_too_much(job) && reason.contains("are lost") => Ok(()),
        other => Err(format!("{} is {other:?} long after the last fault", job.id)),
    })
}

fn lost_too_much(job: &Job) -> bool {
    let lost = job.poison.len() as u64 * 1_000_000;
    lost > u64::from(job.options.max_lost_ppm) * u64::from(job.outline.shards)
}

fn succeeded(stored: &Records, job: &Job) -> Result<(), String> {
    if lost_too_much(job) {
        return Err(format!("{} succeeded with more lost than it allows", job.id));
    }
    let mut given_up: Vec<ShardId> = Vec::new();
    for index in 0..job.plan.phases.len() as u32 {
        let index = PhaseIndex(index);
        match job.plan.phases[index.0 as usize].kind {
            lethe_engine::PhaseKind::Map { .. } => given_up.extend(map(stored, job, index, &given_up)?),
            lethe_engine::PhaseKind::Reduce { .. } | lethe_engine::PhaseKind::Gang { .. } => {
                let record = phase(stored, &job.id, index);
                let found = record.and_then(|p| p.outputs.first()).map(|o| o.blob.digest);
                expect(job, (index, ShardId(0)), found)?;
                if record.and_then(|p| p.conclusion.clone()) != conclusion(job, index) {
                    return Err(format!("{}/{index} says {record:?} of the whole", job.id));
                }
            }
        }
    }
    Ok(())
}

fn expect(job: &Job, (phase, shard): (PhaseIndex, ShardId), found: Option<Digest>) -> Result<(), String> {
    let of = |kind| Some(digest(job.owner(phase), phase, shard, kind));
    match KINDS.into_iter().any(|kind| found == of(kind)) {
        true => Ok(()),
        false => Err(format!("{}/{phase}/{shard} differs from its fault-free result", job.id)),
    }
}

/// The shards that a map phase gave up, each for a cause.
fn map(stored: &Records, job: &Job, index: PhaseIndex, before: &[ShardId]) -> Result<Vec<ShardId>, String> {
    let found: Vec<_> = fates(stored, job.owner(index), index).collect();
    let mut shards: Vec<ShardId> = found.iter().map(|(shard, _)| *shard).collect();
    shards.sort();
    let expected: Vec<_> = job.shards(index).into_iter().filter(|shard| !before.contains(shard)).collect();
    if shards != expected {
        return Err(format!("{}, phase {index} ended {shards:?}, not {expected:?}", job.id));
    }
    let mut given_up = Vec::new();
    for (shard, fate) in found {
        let (poisoned, lied) = (index == SCORE && job.poison.contains_key(&shard), job.lied.contains(&(index, shard)));
        match fate {
            Fate::Quarantined { .. } if poisoned || lied => given_up.push(shard),
            Fate::Quarantined { reason, .. } => {
                return Err(format!("{}/{index}/{shard} was given up: {reason}", job.id));
            }
            Fate::Done(_) if poisoned => return Err(format!("{}/{index}/{shard} is poison, and done", job.id)),
            Fate::Done(_) if lied && job.alone.contains(&(index, shard)) => {}
            Fate::Done(result) => expect(job, (index, shard), result.outputs.first().map(|o| o.digest))?,
        }
    }
    Ok(given_up)
}
