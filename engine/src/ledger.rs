//! The durable half of an audit: its records, and the only ways to change them.
//!
//! A change must never go unnoticed: every one here tells the outbox which record to persist.

use std::collections::BTreeMap;

use lethe_common::blob::NamedBlob;
use lethe_common::ids::{AuditId, Generation, PhaseIndex, ShardId};
use lethe_common::time::Millis;

use crate::event::{Counts, Outline};
use crate::outbox::Outbox;
use crate::plan::{PhaseSpec, Plan};
use crate::record::{
    AuditRecord, AuditState, PageRecord, PhaseRecord, PhaseState, Record, RecordKey, SHARDS_PER_PAGE, TaskResult,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub id: AuditId,
    pub audit: AuditRecord,
    pub phases: Vec<PhaseRecord>,
    pub pages: BTreeMap<(PhaseIndex, u32), PageRecord>,
}

/// Where an audit is: in one phase, past the last one, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    In(PhaseIndex),
    PastLast,
    Ended,
}

impl Ledger {
    /// An audit nobody has seen before, all of its phases waiting.
    pub fn open(id: AuditId, plan: Plan, spec_json: String, now: Millis) -> Self {
        let waiting = PhaseRecord {
            state: PhaseState::Waiting,
            started: None,
            generation: Generation(0),
            retries: 0,
            outputs: Vec::new(),
        };
        let phases = vec![waiting; plan.phases.len()];
        let audit = AuditRecord { plan, spec_json, submitted: now, state: AuditState::Running, outline: None };
        Self { id, audit, phases, pages: BTreeMap::new() }
    }

    pub fn stage(&self) -> Stage {
        if self.audit.state != AuditState::Running {
            return Stage::Ended;
        }
        let unfinished = self.phases.iter().position(|p| !matches!(p.state, PhaseState::Done { .. }));
        unfinished.map_or(Stage::PastLast, |index| Stage::In(PhaseIndex(index as u32)))
    }

    pub fn spec(&self, phase: PhaseIndex) -> &PhaseSpec {
        &self.audit.plan.phases[phase.0 as usize]
    }

    pub fn phase(&self, phase: PhaseIndex) -> &PhaseRecord {
        &self.phases[phase.0 as usize]
    }

    /// The shards a map phase reads; none is known before a reduce gave the outline.
    pub fn shards(&self, phase: PhaseIndex) -> Option<Vec<ShardId>> {
        let outline = self.audit.outline.as_ref()?;
        let all = || (0..outline.shards).map(ShardId).collect();
        Some(outline.samples.get(&phase).cloned().unwrap_or_else(all))
    }

    pub fn results(&self, phase: PhaseIndex) -> impl Iterator<Item = (&ShardId, &TaskResult)> {
        self.pages.range((phase, 0)..=(phase, u32::MAX)).flat_map(|(_, page)| &page.done)
    }

    pub fn result(&self, phase: PhaseIndex, shard: ShardId) -> Option<&TaskResult> {
        self.pages.get(&(phase, shard.0 / SHARDS_PER_PAGE))?.done.get(&shard)
    }

    pub fn counts(&self, phase: PhaseIndex) -> Counts {
        let add = |a: Counts, b: &Counts| Counts {
            read: a.read + b.read,
            scored: a.scored + b.scored,
            failed: a.failed + b.failed,
        };
        self.results(phase).fold(Counts::default(), |sum, (_, result)| add(sum, &result.counts))
    }

    pub fn record(&self, key: &RecordKey) -> Record {
        match key {
            RecordKey::Audit(id) => Record::Audit(id.clone(), self.audit.clone()),
            RecordKey::Phase(id, phase) => Record::Phase(id.clone(), *phase, self.phase(*phase).clone()),
            RecordKey::Page(id, phase, page) => {
                Record::Page(id.clone(), *phase, *page, self.pages[&(*phase, *page)].clone())
            }
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = RecordKey> {
        let phases = (0..self.phases.len()).map(|i| RecordKey::Phase(self.id.clone(), PhaseIndex(i as u32)));
        let pages = self.pages.keys().map(|(phase, page)| RecordKey::Page(self.id.clone(), *phase, *page));
        std::iter::once(RecordKey::Audit(self.id.clone())).chain(phases).chain(pages)
    }

    pub fn start_phase(&mut self, phase: PhaseIndex, now: Millis, outbox: &mut Outbox) {
        let record = self.phase_mut(phase, outbox);
        record.state = PhaseState::Running;
        record.started = Some(now);
    }

    pub fn finish_phase(&mut self, phase: PhaseIndex, now: Millis, outputs: Vec<NamedBlob>, outbox: &mut Outbox) {
        let record = self.phase_mut(phase, outbox);
        record.state = PhaseState::Done { at: now };
        record.outputs = outputs;
    }

    pub fn fail_phase(&mut self, phase: PhaseIndex, now: Millis, reason: &str, outbox: &mut Outbox) {
        self.phase_mut(phase, outbox).state = PhaseState::Failed { at: now, reason: reason.to_owned() };
    }

    pub fn count_retry(&mut self, phase: PhaseIndex, outbox: &mut Outbox) {
        self.phase_mut(phase, outbox).retries += 1;
    }

    pub fn next_generation(&mut self, phase: PhaseIndex, outbox: &mut Outbox) -> Generation {
        let record = self.phase_mut(phase, outbox);
        record.generation.0 += 1;
        record.generation
    }

    pub fn commit_shard(&mut self, phase: PhaseIndex, shard: ShardId, result: TaskResult, outbox: &mut Outbox) {
        let page = shard.0 / SHARDS_PER_PAGE;
        outbox.changed(RecordKey::Page(self.id.clone(), phase, page));
        self.pages.entry((phase, page)).or_default().done.insert(shard, result);
    }

    pub fn set_outline(&mut self, outline: Outline, outbox: &mut Outbox) {
        outbox.changed(RecordKey::Audit(self.id.clone()));
        self.audit.outline = Some(outline);
    }

    pub fn end(&mut self, state: AuditState, outbox: &mut Outbox) {
        outbox.changed(RecordKey::Audit(self.id.clone()));
        self.audit.state = state;
    }

    fn phase_mut(&mut self, phase: PhaseIndex, outbox: &mut Outbox) -> &mut PhaseRecord {
        outbox.changed(RecordKey::Phase(self.id.clone(), phase));
        &mut self.phases[phase.0 as usize]
    }
}
