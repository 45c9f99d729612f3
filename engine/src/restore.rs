//! An engine's durable state from its records, and back.
//!
//! It must never repair: records that do not fit together are an error to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lethe_common::ids::{AuditId, PhaseIndex, ShardId};

use crate::ledger::Ledger;
use crate::record::{AuditRecord, PhaseRecord, PhaseState, Record, RecordKey, SegmentRecord};
use crate::results::Results;

/// The store holds something no engine wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("record {key:?} belongs to no audit; restore the store from a backup")]
    Orphan { key: RecordKey },
    #[error("audit {audit} has {found} phase records; its plan has {expected}; restore the store from a backup")]
    Phases { audit: AuditId, found: usize, expected: usize },
    #[error("audit {audit} has phase {phase} ahead of the one before it; restore the store from a backup")]
    OutOfOrder { audit: AuditId, phase: PhaseIndex },
    #[error(
        "segment {segment} of audit {audit}, phase {phase} holds shard {shard}, which cannot be there; restore the store from a backup"
    )]
    Segment { audit: AuditId, phase: PhaseIndex, segment: u32, shard: ShardId },
    #[error("audit {audit} takes over results of audit {of}, which is not there; restore the store from a backup")]
    Inherited { audit: AuditId, of: AuditId },
}

#[derive(Default)]
struct Heap {
    audits: BTreeMap<AuditId, AuditRecord>,
    phases: BTreeMap<(AuditId, PhaseIndex), PhaseRecord>,
    results: BTreeMap<(AuditId, PhaseIndex), Arc<Results>>,
}

/// The ledgers of all audits, in the order of their ids.
pub(crate) fn ledgers(records: Vec<Record>) -> Result<Vec<Ledger>, RestoreError> {
    let mut heap = Heap::default();
    for record in records {
        match record {
            Record::Audit(id, audit) => drop(heap.audits.insert(id, audit)),
            Record::Phase(id, phase, record) => drop(heap.phases.insert((id, phase), record)),
            Record::Segment(id, phase, segment, record) => heap.load((id, phase), segment, record)?,
        }
    }
    let audits = std::mem::take(&mut heap.audits);
    heap.check_owners(&audits)?;
    let ledgers: Vec<Ledger> = audits.into_iter().map(|(id, audit)| heap.take(id, audit)).collect::<Result<_, _>>()?;
    heap.empty()?;
    Ok(ledgers)
}

impl Heap {
    fn load(&mut self, key: (AuditId, PhaseIndex), segment: u32, record: SegmentRecord) -> Result<(), RestoreError> {
        let (audit, phase) = key.clone();
        let results = self.results.entry(key).or_insert_with(|| Arc::new(Results::new(audit.clone(), phase)));
        let placed = Arc::make_mut(results).load(segment, record);
        placed.map_err(|shard| RestoreError::Segment { audit, phase, segment, shard })
    }

    /// Every segment belongs to an audit that is there, and every audit finds what it took over.
    fn check_owners(&self, audits: &BTreeMap<AuditId, AuditRecord>) -> Result<(), RestoreError> {
        let stray = self.results.keys().find(|(id, _)| !audits.contains_key(id));
        if let Some((id, phase)) = stray {
            return Err(RestoreError::Orphan { key: RecordKey::Segment(id.clone(), *phase, 0) });
        }
        for (id, audit) in audits {
            if let Some(of) =
                audit.inherited.iter().collect::<BTreeSet<_>>().into_iter().find(|of| !audits.contains_key(of))
            {
                return Err(RestoreError::Inherited { audit: id.clone(), of: of.clone() });
            }
        }
        Ok(())
    }

    fn take(&mut self, id: AuditId, audit: AuditRecord) -> Result<Ledger, RestoreError> {
        let of_phase: Vec<_> = self.phases.extract_if(.., |(a, _), _| *a == id).collect();
        let expected = audit.plan.phases.len();
        let in_place = of_phase.iter().enumerate().all(|(i, ((_, phase), _))| phase.0 as usize == i);
        if of_phase.len() != expected || !in_place {
            return Err(RestoreError::Phases { audit: id, found: of_phase.len(), expected });
        }
        let results = (0..expected).map(|index| self.results_of(&id, &audit, index)).collect();
        let phases = of_phase.into_iter().map(|(_, record)| record).collect();
        let ledger = Ledger { id, audit, phases, results };
        ledger.check_order()?;
        ledger.check_segments()?;
        Ok(ledger)
    }

    /// Its own, or those of the audit that they were taken over from.
    fn results_of(&self, id: &AuditId, audit: &AuditRecord, index: usize) -> Arc<Results> {
        let phase = PhaseIndex(index as u32);
        let owner = audit.inherited.get(index).unwrap_or(id).clone();
        let held = self.results.get(&(owner.clone(), phase));
        held.cloned().unwrap_or_else(|| Arc::new(Results::new(owner, phase)))
    }

    /// Nothing may be left over that no audit owns.
    fn empty(self) -> Result<(), RestoreError> {
        let phase = self.phases.into_keys().map(|(a, p)| RecordKey::Phase(a, p)).next();
        phase.map_or(Ok(()), |key| Err(RestoreError::Orphan { key }))
    }
}

impl Ledger {
    fn check_order(&self) -> Result<(), RestoreError> {
        let ahead = self.phases.windows(2).position(|pair| !pair[0].is_done() && pair[1].state != PhaseState::Waiting);
        match ahead {
            Some(index) => {
                Err(RestoreError::OutOfOrder { audit: self.id.clone(), phase: PhaseIndex(index as u32 + 1) })
            }
            None => Ok(()),
        }
    }

    /// Only maps have segments, of shards that the outline has.
    fn check_segments(&self) -> Result<(), RestoreError> {
        let shards = self.audit.outline.as_ref().map_or(0, |outline| outline.shards);
        for (spec, results) in self.audit.plan.phases.iter().zip(&self.results) {
            let stray = results.fates().map(|(shard, _)| shard).find(|shard| shard.0 >= shards || !spec.kind.is_map());
            if let Some(shard) = stray {
                let (audit, phase) = (self.id.clone(), results.phase);
                let holds = |segment: &u32| results.segment(*segment).entries.iter().any(|(s, _)| *s == shard);
                let segment = (0..results.segments()).find(holds).unwrap_or_default();
                return Err(RestoreError::Segment { audit, phase, segment, shard });
            }
        }
        Ok(())
    }
}
