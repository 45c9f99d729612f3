//! Fills a store with audits, as an earlier leader would have left them.
//!
//! It must never write what no engine writes: records go through the store's own encoding, under a fence of a term.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use lethe_common::blob::Digest;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, Term};
use lethe_common::time::Millis;
use lethe_coordinator::store::{Candidate, Fence, Outcome, Reign, Store, records};
use lethe_engine::{
    AuditRecord, Change, Counts, Fate, InputSpec, Options, Outline, PhaseKind, PhaseRecord, PhaseSpec, PhaseState,
    Plan, Record, Scope, SegmentRecord, ShardResult, StoredBlob,
};

/// Shards of one stored segment, so that it has a few kilobytes as an engine's has.
const SEGMENT_SHARDS: u32 = 64;
/// Records of one batch, within the store's limits of operations and bytes.
const BATCH_RECORDS: usize = 100;
const PLAN: PhaseIndex = PhaseIndex(0);
const SCORE: PhaseIndex = PhaseIndex(1);

/// What the store is to hold: audits whose shards are planned, and how many of each are committed.
#[derive(Debug, Clone, Copy)]
pub struct Filling {
    pub audits: u32,
    /// Of each audit.
    pub shards: u32,
    /// Of each audit's shards.
    pub committed: u32,
}

pub async fn fill(store: &Store, filling: Filling) -> anyhow::Result<()> {
    let candidate = Candidate { address: "http://prefill.invalid:1".to_owned(), ttl: Duration::from_secs(4) };
    let reign = store.campaign(&candidate).await?;
    let mut writer = Writer { store, reign, batch: 0 };
    for index in 0..filling.audits {
        let audit = AuditId::new(&format!("bench-{index:02}"))?;
        writer.write(opened(&audit, filling.shards)).await?;
        for first in (0..filling.committed).step_by((SEGMENT_SHARDS as usize) * BATCH_RECORDS) {
            writer.write(segments(&audit, first, filling.committed)).await?;
        }
    }
    writer.reign.resign().await;
    Ok(())
}

struct Writer<'a> {
    store: &'a Store,
    reign: Reign,
    batch: u64,
}

impl Writer<'_> {
    async fn write(&mut self, records: Vec<Record>) -> anyhow::Result<()> {
        let changes: Vec<Change> = records.into_iter().map(Change::Put).collect();
        self.batch += 1;
        let fence = Fence { term: self.reign.term, batch: self.batch };
        match self.store.commit(fence, &records::batch(&changes)).await {
            Outcome::Applied => Ok(()),
            Outcome::Conflict { current } => bail!("another writes to the store of the benchmark, in term {current}"),
            Outcome::Unknown(error) | Outcome::Refused(error) => Err(error).context("cannot fill the store"),
        }
    }
}

/// An audit past its planning: every shard is known, none is scored.
fn opened(audit: &AuditId, shards: u32) -> Vec<Record> {
    let reduce = PhaseKind::Reduce { program: "plan".to_owned() };
    let map = PhaseKind::Map { program: "score".to_owned() };
    let phase = |name: &str, kind, inputs| PhaseSpec { name: name.to_owned(), kind, inputs };
    let reads = vec![InputSpec { phase: PLAN, scope: Scope::All }];
    let plan = Plan { phases: vec![phase("plan", reduce, Vec::new()), phase("score", map, reads)] };
    // A submitter of its own, since a quota is not what is measured.
    let options = Options { submitter: audit.to_string(), ..Options::default() };
    let now = Millis::now();
    let mut record = AuditRecord::submitted(plan, "{}".to_owned(), options, now);
    record.outline = Some(Outline { shards, samples: BTreeMap::new() });
    let planned = PhaseRecord { state: PhaseState::Done { at: now }, started: Some(now), ..PhaseRecord::waiting() };
    let running = PhaseRecord { state: PhaseState::Running, started: Some(now), ..PhaseRecord::waiting() };
    vec![
        Record::Audit(audit.clone(), record),
        Record::Phase(audit.clone(), PLAN, planned),
        Record::Phase(audit.clone(), SCORE, running),
    ]
}

/// One batch of full segments from a shard on.
fn segments(audit: &AuditId, first: u32, end: u32) -> Vec<Record> {
    let starts = (first..end).step_by(SEGMENT_SHARDS as usize).take(BATCH_RECORDS);
    let segment = |start: u32| {
        let entries = (start..end.min(start + SEGMENT_SHARDS)).map(|shard| (ShardId(shard), done(shard))).collect();
        Record::Segment(audit.clone(), SCORE, start / SEGMENT_SHARDS, SegmentRecord { entries })
    };
    starts.map(segment).collect()
}

/// Two outputs, as scoring gives.
fn done(shard: u32) -> Fate {
    let blob = |name: &str, size_bytes| {
        let digest = Digest::of(&shard.to_le_bytes());
        StoredBlob { name: Arc::from(name), size_bytes, digest }
    };
    Fate::Done(ShardResult {
        attempt: Attempt { term: Term(1), counter: 0 },
        outputs: Box::new([blob("signals.parquet", 90_000), blob("digest.json", 2_000)]),
        counts: Counts { read: 10_000, scored: 10_000, failed: 0 },
    })
}
