//! The durable half of an audit: its records, and the only ways to change them.
//!
//! A change must never go unnoticed: every one here tells the outbox which record to persist.

use std::sync::Arc;

use lethe_common::blob::{BlobRef, NamedBlob};
use lethe_common::ids::{Attempt, AuditId, Generation, PhaseIndex, ShardId};
use lethe_common::time::Millis;

use crate::event::{Counts, Options, Outline};
use crate::outbox::Outbox;
use crate::plan::{PhaseSpec, Plan};
use crate::record::{
    AuditRecord, AuditState, Conclusion, Control, Deed, Fate, GangCheckpoint, MAX_DEEDS, MAX_NOTES, PhaseRecord,
    PhaseState, Record, RecordKey, ShardResult, Tally, What,
};
use crate::results::Results;

/// Marks that a person makes within this time of the first are one deed.
const MAX_SITTING_MS: u64 = 60 * 60 * 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub id: AuditId,
    pub audit: AuditRecord,
    pub phases: Vec<PhaseRecord>,
    /// By phase; shared with the audit that computed them where this is a re-run, and then never changed.
    pub results: Vec<Arc<Results>>,
}

/// Where an audit is: in one phase, past the last one, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    In(PhaseIndex),
    PastLast,
    Ended,
}

/// An audit as it was asked for.
pub(crate) struct Request {
    pub id: AuditId,
    pub plan: Plan,
    pub spec_json: String,
    pub options: Options,
}

impl PhaseRecord {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, PhaseState::Done { .. })
    }
}

impl Ledger {
    /// An audit nobody has seen before, all of its phases waiting.
    pub fn open(request: Request, now: Millis) -> Self {
        let Request { id, plan, spec_json, options } = request;
        let phases = vec![PhaseRecord::waiting(); plan.phases.len()];
        let empty = |index| Arc::new(Results::new(id.clone(), PhaseIndex(index)));
        let results = (0..plan.phases.len() as u32).map(empty).collect();
        let audit = AuditRecord::submitted(plan, spec_json, options, now);
        Self { id, audit, phases, results }
    }

    /// The same work under another name, with what another audit has done of it before a phase.
    pub fn rerun(request: Request, of: &Self, from: PhaseIndex, now: Millis) -> Self {
        let mut ledger = Self::open(request, now);
        let kept = from.0 as usize;
        ledger.audit.outline.clone_from(&of.audit.outline);
        ledger.audit.marks.clone_from(&of.audit.marks);
        // What one audit made under a person's eye another does not give away.
        ledger.audit.options.approval |= of.audit.options.approval;
        ledger.audit.inherited = of.results[..kept].iter().map(|results| results.owner.clone()).collect();
        ledger.phases[..kept].clone_from_slice(&of.phases[..kept]);
        ledger.results[..kept].clone_from_slice(&of.results[..kept]);
        ledger
    }

    pub fn stage(&self) -> Stage {
        if self.audit.state != AuditState::Running {
            return Stage::Ended;
        }
        let unfinished = self.phases.iter().position(|phase| !phase.is_done());
        unfinished.map_or(Stage::PastLast, |index| Stage::In(PhaseIndex(index as u32)))
    }

    pub fn is_live(&self) -> bool {
        match self.audit.state {
            AuditState::Running => true,
            AuditState::Succeeded { .. } | AuditState::Failed { .. } | AuditState::Cancelled { .. } => false,
        }
    }

    pub fn ended(&self) -> Option<Millis> {
        match self.audit.state {
            AuditState::Running => None,
            AuditState::Succeeded { at } | AuditState::Failed { at, .. } | AuditState::Cancelled { at } => Some(at),
        }
    }

    /// Whether any of its own work has begun.
    pub fn has_begun(&self) -> bool {
        self.phases.get(self.audit.inherited.len()).is_none_or(|phase| phase.state != PhaseState::Waiting)
    }

    pub fn spec(&self, phase: PhaseIndex) -> &PhaseSpec {
        &self.audit.plan.phases[phase.0 as usize]
    }

    pub fn phase(&self, phase: PhaseIndex) -> &PhaseRecord {
        &self.phases[phase.0 as usize]
    }

    pub fn results(&self, phase: PhaseIndex) -> &Results {
        &self.results[phase.0 as usize]
    }

    /// The shards a map phase reads: those of its sample, without what an earlier phase gave up. None is
    /// known before a reduce gave the outline.
    pub fn shards(&self, phase: PhaseIndex) -> Option<Vec<ShardId>> {
        let outline = self.audit.outline.as_ref()?;
        let earlier = &self.results[..phase.0 as usize];
        let spoiled: Vec<&Arc<Results>> = earlier.iter().filter(|results| results.quarantined > 0).collect();
        let whole = |shard: &ShardId| spoiled.iter().all(|results| !results.is_quarantined(*shard));
        Some(match outline.samples.get(&phase) {
            Some(sample) => sample.iter().copied().filter(whole).collect(),
            None => (0..outline.shards).map(ShardId).filter(whole).collect(),
        })
    }

    /// How many shards a map phase reads, as far as is known.
    pub fn expected(&self, phase: PhaseIndex) -> u64 {
        let Some(outline) = &self.audit.outline else { return 0 };
        if outline.samples.contains_key(&phase) {
            return self.shards(phase).map_or(0, |shards| shards.len() as u64);
        }
        // No shard is given up twice: later phases do not read it.
        let given_up: u64 = self.results[..phase.0 as usize].iter().map(|results| results.quarantined).sum();
        u64::from(outline.shards).saturating_sub(given_up)
    }

    pub fn result(&self, phase: PhaseIndex, shard: ShardId) -> Option<&ShardResult> {
        self.results(phase).result(shard)
    }

    pub fn counts(&self, phase: PhaseIndex) -> Counts {
        self.results(phase).counts
    }

    /// Shards that any phase gave up.
    pub fn quarantined(&self) -> u64 {
        self.results.iter().map(|results| results.quarantined).sum()
    }

    pub fn record(&self, key: &RecordKey) -> Record {
        match key {
            RecordKey::Audit(id) => Record::Audit(id.clone(), self.audit.clone()),
            RecordKey::Phase(id, phase) => Record::Phase(id.clone(), *phase, self.phase(*phase).clone()),
            RecordKey::Segment(id, phase, segment) => {
                Record::Segment(id.clone(), *phase, *segment, self.results(*phase).segment(*segment))
            }
        }
    }

    /// The keys of its own records; inherited segments are another audit's.
    pub fn keys(&self) -> impl Iterator<Item = RecordKey> {
        let indices = move || (0..self.phases.len() as u32).map(PhaseIndex);
        let phases = indices().map(|phase| RecordKey::Phase(self.id.clone(), phase));
        let own = indices().filter(|phase| self.results(*phase).owner == self.id);
        let segments = own.flat_map(move |phase| {
            let segments = 0..self.results(phase).segments();
            segments.map(move |segment| RecordKey::Segment(self.id.clone(), phase, segment))
        });
        std::iter::once(RecordKey::Audit(self.id.clone())).chain(phases).chain(segments)
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
        record.checkpoint = None;
    }

    pub fn conclude(&mut self, phase: PhaseIndex, conclusion: Conclusion, outbox: &mut Outbox) {
        self.phase_mut(phase, outbox).conclusion = Some(conclusion);
    }

    /// What the audit came to, once a phase has said it.
    pub fn conclusion(&self) -> Option<&Conclusion> {
        self.phases.iter().rev().find_map(|phase| phase.conclusion.as_ref())
    }

    pub fn fail_phase(&mut self, phase: PhaseIndex, now: Millis, reason: &str, outbox: &mut Outbox) {
        let record = self.phase_mut(phase, outbox);
        record.state = PhaseState::Failed { at: now, reason: reason.to_owned() };
        record.checkpoint = None;
    }

    pub fn count_retry(&mut self, phase: PhaseIndex, outbox: &mut Outbox) {
        self.phase_mut(phase, outbox).retries += 1;
    }

    pub fn tally(&mut self, phase: PhaseIndex, outbox: &mut Outbox) -> &mut Tally {
        &mut self.phase_mut(phase, outbox).tally
    }

    pub fn note(&mut self, phase: PhaseIndex, note: String, outbox: &mut Outbox) {
        let notes = &mut self.phase_mut(phase, outbox).notes;
        if notes.len() < MAX_NOTES {
            notes.push(note);
        }
    }

    /// From here on this kind of worker runs the phase with half the batch; gives how often that happened.
    pub fn halve(&mut self, phase: PhaseIndex, kind: &str, outbox: &mut Outbox) -> u32 {
        let halvings = self.phase_mut(phase, outbox).halvings.entry(kind.to_owned()).or_default();
        *halvings += 1;
        *halvings
    }

    pub fn next_generation(&mut self, phase: PhaseIndex, outbox: &mut Outbox) -> Generation {
        let record = self.phase_mut(phase, outbox);
        record.generation.0 += 1;
        record.generation
    }

    /// What a gang's phase would go on from; none where there is no such phase.
    pub fn kept_checkpoint(&self, phase: PhaseIndex) -> Option<&GangCheckpoint> {
        self.phases.get(phase.0 as usize)?.checkpoint.as_ref()
    }

    pub fn keep_checkpoint(&mut self, phase: PhaseIndex, checkpoint: GangCheckpoint, outbox: &mut Outbox) {
        let record = self.phase_mut(phase, outbox);
        record.furthest = record.furthest.max(checkpoint.step);
        record.checkpoint = Some(checkpoint);
    }

    /// What a commit holds, as it will be kept.
    pub fn pack(&mut self, phase: PhaseIndex, attempt: Attempt, outputs: &[NamedBlob], counts: Counts) -> ShardResult {
        self.results_mut(phase).pack(attempt, outputs, counts)
    }

    /// Ends a shard of a phase, once.
    pub fn end_shard(&mut self, phase: PhaseIndex, shard: ShardId, fate: Fate, outbox: &mut Outbox) {
        let id = self.id.clone();
        let key = |segment| RecordKey::Segment(id.clone(), phase, segment);
        let segment = self.results_mut(phase).end(shard, fate, |segment| outbox.has_changed(&key(segment)));
        outbox.changed(key(segment));
    }

    pub fn set_outline(&mut self, outline: Outline, outbox: &mut Outbox) {
        self.audit_mut(outbox).outline = Some(outline);
    }

    pub fn set_paused(&mut self, paused: Option<Millis>, outbox: &mut Outbox) {
        self.audit_mut(outbox).paused = paused;
    }

    /// Whether a person has to approve it and nobody has.
    pub fn is_unapproved(&self) -> bool {
        let approves = |deed: &Deed| deed.what == What::Controlled(Control::Approve);
        self.audit.options.approval && !self.audit.deeds.iter().any(approves)
    }

    /// Whether its next phase is the one that waits until a person has approved.
    pub fn awaits_approval(&self) -> bool {
        let last = PhaseIndex(self.phases.len().saturating_sub(1) as u32);
        self.is_unapproved() && self.stage() == Stage::In(last)
    }

    /// Adds what a person did.
    pub fn keep_deed(&mut self, deed: Deed, outbox: &mut Outbox) {
        let deeds = &mut self.audit_mut(outbox).deeds;
        let may_go =
            |deed: &Deed| matches!(deed.what, What::Controlled(Control::Pause | Control::Resume) | What::Marked(_));
        if deeds.len() >= MAX_DEEDS
            && let Some(oldest) = deeds.iter().position(may_go)
        {
            deeds.remove(oldest);
        }
        deeds.push(deed);
    }

    /// What a person marks within an hour, and nothing else done in between, is one deed: some mark thousands, one by one.
    pub fn keep_marks(&mut self, marks: BlobRef, deed: Deed, outbox: &mut Outbox) {
        let audit = self.audit_mut(outbox);
        audit.marks = Some(marks);
        let sitting =
            |kept: &&mut Deed| matches!(kept.what, What::Marked(_)) && deed.at.since_ms(kept.at) < MAX_SITTING_MS;
        let own = audit.deeds.iter_mut().rev().take_while(sitting).find(|kept| kept.by == deed.by);
        match (own.map(|own| &mut own.what), deed.what) {
            (Some(What::Marked(kept)), What::Marked(made)) => *kept = kept.plus(made),
            (Some(_) | None, _) => self.keep_deed(deed, outbox),
        }
    }

    /// Nothing goes on from a checkpoint any more.
    pub fn end(&mut self, state: AuditState, outbox: &mut Outbox) {
        if let Some(index) = self.phases.iter().position(|phase| phase.checkpoint.is_some()) {
            self.phase_mut(PhaseIndex(index as u32), outbox).checkpoint = None;
        }
        self.audit_mut(outbox).state = state;
    }

    fn audit_mut(&mut self, outbox: &mut Outbox) -> &mut AuditRecord {
        outbox.changed(RecordKey::Audit(self.id.clone()));
        &mut self.audit
    }

    fn phase_mut(&mut self, phase: PhaseIndex, outbox: &mut Outbox) -> &mut PhaseRecord {
        outbox.changed(RecordKey::Phase(self.id.clone(), phase));
        &mut self.phases[phase.0 as usize]
    }

    fn results_mut(&mut self, phase: PhaseIndex) -> &mut Results {
        Arc::make_mut(&mut self.results[phase.0 as usize])
    }
}
