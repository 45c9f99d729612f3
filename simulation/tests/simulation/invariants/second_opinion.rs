//! Two workers gave a checked result, or there was nobody to ask; and only who lied is distrusted.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::blob::Digest;
use lethe_common::ids::{AuditId, PhaseIndex, ShardId, Term, WorkerId};
use lethe_engine::{Event, Fate, Record, RecordKey, ShardResult};

use super::Seen;
use crate::jobs::is_checked;
use crate::workers::SimWorker;

type Key = (AuditId, PhaseIndex, ShardId);

pub struct SecondOpinion {
    term: Term,
    kinds: BTreeMap<WorkerId, String>,
    pub liars: BTreeSet<WorkerId>,
    /// Known to this leader, and whether each takes new work.
    joined: BTreeMap<WorkerId, bool>,
    /// Those that could be asked from the beginning of this step to its end.
    steady: BTreeSet<WorkerId>,
    votes: BTreeMap<Key, BTreeMap<WorkerId, Digest>>,
    /// Shards that one result had to do for.
    pub alone: BTreeSet<Key>,
}

impl SecondOpinion {
    pub fn new(workers: &BTreeMap<WorkerId, SimWorker>) -> Self {
        let kinds = workers.iter().map(|(name, worker)| (name.clone(), worker.profile.kind.clone())).collect();
        let liars = workers.iter().filter(|(_, worker)| worker.lies).map(|(name, _)| name.clone()).collect();
        let (joined, steady, votes, alone) = Default::default();
        Self { term: Term(1), kinds, liars, joined, steady, votes, alone }
    }

    pub fn begin(&mut self) {
        self.steady = self.joined.iter().filter(|(_, serves)| **serves).map(|(name, _)| name.clone()).collect();
    }

    pub fn new_leader(&mut self) {
        self.term.0 += 1;
        self.joined.clear();
        self.votes.clear();
    }

    pub fn heard(&mut self, event: &Event) {
        match event {
            Event::WorkerJoined { worker, .. } => self.now(worker, Some(true)),
            Event::WorkerDraining { worker, .. } if self.joined.contains_key(worker) => self.now(worker, Some(false)),
            Event::WorkerLost { worker, .. } => self.now(worker, None),
            Event::TaskCommitted { worker, task, outputs, .. }
                if self.joined.contains_key(worker) && task.attempt.term == self.term =>
            {
                let key = (task.audit.clone(), task.phase, task.shard);
                self.votes.entry(key).or_default().entry(worker.clone()).or_insert(outputs[0].blob.digest);
            }
            Event::WorkerDraining { .. } | Event::TaskCommitted { .. } | Event::Submitted { .. } => {}
            Event::RerunRequested { .. } | Event::ControlRequested { .. } | Event::MarksMade { .. } => {}
            Event::GangCheckpointed { .. } | Event::GangProgressed { .. } => {}
            Event::TaskProgressed { .. } | Event::TaskFailed { .. } => {}
            Event::ReduceDone { .. } | Event::ReduceFailed { .. } | Event::Stalled { .. } | Event::Tick => {}
        }
    }

    fn now(&mut self, worker: &WorkerId, serves: Option<bool>) {
        self.steady.remove(worker);
        match serves {
            Some(serves) => drop(self.joined.insert(worker.clone(), serves)),
            None => drop(self.joined.remove(worker)),
        }
    }

    pub fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for (before, after) in seen.changes() {
            match after {
                Record::Audit(..) => {}
                Record::Phase(_, _, record) => record.notes.iter().try_for_each(|note| self.check_note(note))?,
                Record::Segment(audit, phase, _, segment) => {
                    let Some(Record::Audit(_, record)) = seen.after(&RecordKey::Audit(audit.clone())) else { continue };
                    let old = match before {
                        Some(Record::Segment(_, _, _, old)) => old.entries.len(),
                        Some(Record::Audit(..) | Record::Phase(..)) | None => 0,
                    };
                    for (shard, fate) in &segment.entries[old.min(segment.entries.len())..] {
                        if let (Fate::Done(result), true) =
                            (fate, is_checked(audit, record.options.check_ppm, *phase, *shard))
                        {
                            self.check_result((audit.clone(), *phase, *shard), result)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn check_result(&mut self, key: Key, result: &ShardResult) -> Result<(), String> {
        let digest = result.outputs[0].digest;
        let votes = self.votes.get(&key).cloned().unwrap_or_default();
        let voters: BTreeSet<&WorkerId> =
            votes.iter().filter(|(_, d)| **d == digest).map(|(worker, _)| worker).collect();
        if voters.len() >= 2 {
            return Ok(());
        }
        let kind = |worker: &WorkerId| voters.iter().any(|voter| self.kinds[*voter] == self.kinds[worker]);
        let could = self.steady.iter().find(|w| kind(w) && !votes.contains_key(*w) && !self.liars.contains(*w));
        match could {
            Some(worker) => Err(format!("{key:?} was taken from {voters:?} alone, though {worker} could be asked")),
            None => {
                self.alone.insert(key);
                Ok(())
            }
        }
    }

    fn check_note(&self, note: &str) -> Result<(), String> {
        let honest = self.kinds.keys().filter(|worker| !self.liars.contains(*worker));
        match honest.into_iter().find(|worker| note.contains(&format!("worker {worker} gave another"))) {
            Some(worker) => Err(format!("{worker} is honest, and distrusted: {note}")),
            None => Ok(()),
        }
    }
}
