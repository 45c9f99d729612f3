//! An engine's durable state from its records, and back.
//!
//! It must never repair: records that do not fit together are an error to look at.

use std::collections::BTreeMap;

use lethe_common::ids::{AuditId, PhaseIndex};

use crate::ledger::Ledger;
use crate::plan::PhaseKind;
use crate::record::{AuditRecord, AuditState, PageRecord, PhaseRecord, PhaseState, Record, RecordKey, SHARDS_PER_PAGE};

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
        "page {page} of audit {audit}, phase {phase} holds shards that are not its own; restore the store from a backup"
    )]
    Page { audit: AuditId, phase: PhaseIndex, page: u32 },
}

#[derive(Default)]
struct Heap {
    audits: BTreeMap<AuditId, AuditRecord>,
    phases: BTreeMap<(AuditId, PhaseIndex), PhaseRecord>,
    pages: BTreeMap<(AuditId, PhaseIndex, u32), PageRecord>,
}

/// The ledgers of all audits, in the order of their ids.
pub(crate) fn ledgers(records: Vec<Record>) -> Result<Vec<Ledger>, RestoreError> {
    let mut heap = Heap::default();
    for record in records {
        match record {
            Record::Audit(id, audit) => drop(heap.audits.insert(id, audit)),
            Record::Phase(id, phase, record) => drop(heap.phases.insert((id, phase), record)),
            Record::Page(id, phase, page, record) => drop(heap.pages.insert((id, phase, page), record)),
        }
    }
    let audits = std::mem::take(&mut heap.audits);
    let ledgers: Result<Vec<_>, _> = audits.into_iter().map(|(id, audit)| heap.take(id, audit)).collect();
    heap.empty().and(ledgers)
}

impl Heap {
    fn take(&mut self, id: AuditId, audit: AuditRecord) -> Result<Ledger, RestoreError> {
        let of_phase: Vec<_> = self.phases.extract_if(.., |(a, _), _| *a == id).collect();
        let of_page: Vec<_> = self.pages.extract_if(.., |(a, _, _), _| *a == id).collect();
        let expected = audit.plan.phases.len();
        let in_place = of_phase.iter().enumerate().all(|(i, ((_, phase), _))| phase.0 as usize == i);
        if of_phase.len() != expected || !in_place {
            return Err(RestoreError::Phases { audit: id, found: of_phase.len(), expected });
        }
        let phases = of_phase.into_iter().map(|(_, record)| record).collect();
        let pages = of_page.into_iter().map(|((_, phase, page), record)| ((phase, page), record)).collect();
        let ledger = Ledger { id, audit, phases, pages };
        ledger.check_order()?;
        ledger.check_pages()?;
        Ok(ledger)
    }

    fn empty(self) -> Result<(), RestoreError> {
        let phase = self.phases.into_keys().map(|(a, p)| RecordKey::Phase(a, p)).next();
        let page = self.pages.into_keys().map(|(a, p, n)| RecordKey::Page(a, p, n)).next();
        phase.or(page).map_or(Ok(()), |key| Err(RestoreError::Orphan { key }))
    }
}

impl Ledger {
    fn check_order(&self) -> Result<(), RestoreError> {
        let ahead = self.phases.windows(2).position(|pair| {
            let before_is_done = matches!(pair[0].state, PhaseState::Done { .. });
            !before_is_done && pair[1].state != PhaseState::Waiting
        });
        match ahead {
            Some(index) => {
                Err(RestoreError::OutOfOrder { audit: self.id.clone(), phase: PhaseIndex(index as u32 + 1) })
            }
            None => Ok(()),
        }
    }

    fn check_pages(&self) -> Result<(), RestoreError> {
        let fits = |(phase, page): &(PhaseIndex, u32), record: &PageRecord| {
            let spec = self.audit.plan.phases.get(phase.0 as usize);
            spec.is_some_and(|s| matches!(s.kind, PhaseKind::Map { .. }))
                && record.done.keys().all(|shard| shard.0 / SHARDS_PER_PAGE == *page)
        };
        match self.pages.iter().find(|(key, record)| !fits(key, record)) {
            Some(((phase, page), _)) => Err(RestoreError::Page { audit: self.id.clone(), phase: *phase, page: *page }),
            None => Ok(()),
        }
    }

    pub fn is_live(&self) -> bool {
        match self.audit.state {
            AuditState::Running => true,
            AuditState::Succeeded { .. } | AuditState::Failed { .. } | AuditState::Cancelled { .. } => false,
        }
    }
}
