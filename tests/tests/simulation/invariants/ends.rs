//! Every audit ends, and with exactly what it would have come to had nothing failed.

use std::collections::BTreeMap;

use lethe_common::blob::{Digest, NamedBlob};
use lethe_common::ids::{AuditId, PhaseIndex, ShardId};
use lethe_engine::{AuditState, Record, RecordKey};

use super::Records;
use crate::jobs::{Job, digest};

type Results = BTreeMap<(PhaseIndex, ShardId), Digest>;

pub fn has_ended(stored: &Records, audit: &AuditId) -> bool {
    state(stored, audit).is_some_and(|state| state != AuditState::Running)
}

pub fn check(stored: &Records, jobs: &[Job]) -> Result<(), String> {
    jobs.iter().try_for_each(|job| match state(stored, &job.id) {
        Some(AuditState::Succeeded { .. }) if results(stored, &job.id) == expected(job) => Ok(()),
        Some(AuditState::Succeeded { .. }) => Err(format!("{} differs from its fault-free results", job.id)),
        Some(AuditState::Cancelled { .. }) if job.cancelled => Ok(()),
        other => Err(format!("{} is {other:?} long after the last fault", job.id)),
    })
}

fn state(stored: &Records, audit: &AuditId) -> Option<AuditState> {
    match stored.get(&RecordKey::Audit(audit.clone()))? {
        Record::Audit(_, record) => Some(record.state.clone()),
        Record::Phase(..) | Record::Page(..) => None,
    }
}

fn expected(job: &Job) -> Results {
    let phases = (0..job.plan.phases.len() as u32).map(PhaseIndex);
    let tasks = phases.flat_map(|phase| job.shards(phase).into_iter().map(move |shard| (phase, shard)));
    tasks.map(|(phase, shard)| ((phase, shard), digest(&job.id, phase, shard))).collect()
}

fn results(stored: &Records, audit: &AuditId) -> Results {
    let blob = |outputs: &[NamedBlob]| outputs.first().map(|output| output.blob.digest);
    let mut results = Results::new();
    for record in stored.values() {
        match record {
            Record::Page(id, phase, _, page) if id == audit => {
                let done = page.done.iter().filter_map(|(s, r)| Some(((*phase, *s), blob(&r.outputs)?)));
                results.extend(done);
            }
            Record::Phase(id, phase, record) if id == audit => {
                results.extend(blob(&record.outputs).map(|digest| ((*phase, ShardId(0)), digest)));
            }
            Record::Audit(..) | Record::Phase(..) | Record::Page(..) => {}
        }
    }
    results
}
