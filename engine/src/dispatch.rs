//! Who gets which worker: audits by priority, and between equals the one that has the least.
//!
//! It must never depend on the order in which anything arrived, beyond the time of submission.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use lethe_common::ids::{AuditId, WorkerId};

use crate::audit::{Audit, Demand, Work};
use crate::engine::Engine;
use crate::turn::Turn;

/// One dispatch writes no further record once it has written so many; the next step goes on.
const ENOUGH_RECORDS: usize = 32;

impl Engine {
    /// Lets every audit whose turn it is go on, then hands out what workers are free.
    pub(crate) fn dispatch(&mut self, turn: &mut Turn<'_>) {
        turn.workers.note_absence(turn.now);
        let mut live = usize::MAX;
        let mut served = Vec::new();
        // What ends makes room for what waits.
        while self.live.len() < live && self.has_room(&turn.outbox, ENOUGH_RECORDS) {
            live = self.live.len();
            served = self.advance(turn);
        }
        self.hand_out(&served, turn);
        self.grow(turn);
    }

    /// A gang that runs with too few ranks forms anew with workers that are still idle; one a step, since the next
    /// would count the same ones.
    fn grow(&mut self, turn: &mut Turn<'_>) {
        if turn.gathers || turn.workers.idle().next().is_none() {
            return; // there are none, or they are kept for another
        }
        let is_small = |id: &&AuditId| matches!(&self.audits[*id].work, Work::Gang(work) if work.is_small());
        let small = self.live.iter().filter(is_small).cloned().collect();
        for id in self.ranked(small, turn) {
            let Audit { ledger, work, .. } = self.audits.get_mut(&id).expect("live audits are kept");
            let grows = match work {
                Work::Gang(work) => work.grow(ledger, turn),
                Work::None | Work::Map(_) | Work::Reduce(_) => false,
            };
            if grows {
                return;
            }
        }
    }

    /// Lets each go as far as it can; gives those that have shards to lease, in their order.
    fn advance(&mut self, turn: &mut Turn<'_>) -> Vec<AuditId> {
        turn.gathers = false;
        let admitted = self.admitted();
        let mut served = Vec::with_capacity(admitted.len());
        for id in self.ranked(admitted, turn) {
            if !self.has_room(&turn.outbox, ENOUGH_RECORDS) {
                break;
            }
            let audit = self.audits.get_mut(&id).expect("live audits are kept");
            let demand = audit.advance(turn);
            let waits = matches!(&audit.work, Work::Map(work) if !work.waiting.is_empty());
            if waits && !turn.gathers && audit.ledger.audit.paused.is_none() {
                served.push(id);
            }
            match demand {
                Demand::LeavesRest => {}
                Demand::WantsAll => turn.gathers = true,
            }
        }
        self.live.retain(|id| self.audits[id].ledger.is_live());
        served
    }

    /// One lease after the other, to the least busy worker that any of these audits can use.
    fn hand_out(&mut self, audits: &[AuditId], turn: &mut Turn<'_>) {
        let mut waiting: BTreeSet<(i32, u32, usize)> = BTreeSet::new();
        for (place, id) in audits.iter().enumerate() {
            waiting.insert(self.rank(id, place, turn));
        }
        let mut useless: BTreeSet<WorkerId> = BTreeSet::new();
        while !waiting.is_empty() {
            let next = turn.workers.free().find(|worker| !useless.contains(*worker)).cloned();
            let Some(worker) = next else { return };
            let by_rank: Vec<_> = waiting.iter().copied().collect();
            let taken = by_rank.into_iter().find(|(_, _, place)| self.lease(&audits[*place], turn, &worker));
            match taken {
                None => drop(useless.insert(worker)),
                Some(rank) => {
                    waiting.remove(&rank);
                    let id = &audits[rank.2];
                    if matches!(&self.audits[id].work, Work::Map(work) if !work.waiting.is_empty()) {
                        waiting.insert(self.rank(id, rank.2, turn));
                    }
                }
            }
        }
    }

    fn lease(&mut self, id: &AuditId, turn: &mut Turn<'_>, worker: &WorkerId) -> bool {
        let Audit { ledger, work, .. } = self.audits.get_mut(id).expect("served audits are kept");
        match work {
            Work::Map(map) => map.assign(ledger, turn, worker),
            Work::None | Work::Reduce(_) | Work::Gang(_) => false,
        }
    }

    fn rank(&self, id: &AuditId, place: usize, turn: &Turn<'_>) -> (i32, u32, usize) {
        let priority = self.audits[id].ledger.audit.options.priority;
        (priority.saturating_neg(), turn.workers.share(id), place)
    }

    pub(crate) fn speculate(&mut self, turn: &mut Turn<'_>) {
        for id in self.admitted() {
            if !self.has_room(&turn.outbox, ENOUGH_RECORDS) {
                return;
            }
            let Audit { ledger, work, .. } = self.audits.get_mut(&id).expect("live audits are kept");
            match work {
                Work::Map(map) if ledger.audit.paused.is_none() => map.speculate(ledger, turn),
                Work::None | Work::Map(_) | Work::Reduce(_) | Work::Gang(_) => {}
            }
        }
    }

    /// The order in which audits are offered workers.
    fn ranked(&self, mut ids: Vec<AuditId>, turn: &Turn<'_>) -> Vec<AuditId> {
        ids.sort_by_cached_key(|id| {
            let audit = &self.audits[id].ledger.audit;
            (Reverse(audit.options.priority), turn.workers.share(id), audit.submitted, id.clone())
        });
        ids
    }

    /// Live audits in the order in which they get their turn, whatever they hold.
    fn in_line(&self) -> Vec<AuditId> {
        let mut line = self.live.clone();
        line.sort_by_cached_key(|id| {
            let ledger = &self.audits[id].ledger;
            (!ledger.has_begun(), Reverse(ledger.audit.options.priority), ledger.audit.submitted, id.clone())
        });
        line
    }

    /// Those that may run: what has begun goes on; of the others, as many as the quotas leave room for.
    fn admitted(&self) -> Vec<AuditId> {
        self.divide().0
    }

    /// Those that wait for their turn, the next one first.
    pub(crate) fn queued(&self) -> Vec<AuditId> {
        self.divide().1
    }

    fn divide(&self) -> (Vec<AuditId>, Vec<AuditId>) {
        let mut running: BTreeMap<&str, u32> = BTreeMap::new();
        let (mut all, mut admitted, mut queued) = (0, Vec::new(), Vec::new());
        for id in self.in_line() {
            let ledger = &self.audits[&id].ledger;
            let of_submitter = running.entry(&ledger.audit.options.submitter).or_default();
            let room = all < self.knobs.max_running && *of_submitter < self.knobs.max_running_per_submitter;
            if ledger.audit.paused.is_some() || ledger.awaits_approval() {
                admitted.push(id); // it takes nothing, and must not keep another waiting
            } else if ledger.has_begun() || room {
                *of_submitter += 1;
                all += 1;
                admitted.push(id);
            } else {
                queued.push(id);
            }
        }
        (admitted, queued)
    }
}
