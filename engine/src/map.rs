//! A running map phase: which shards wait, who holds the others, and how often each was tried.
//!
//! All of this is soft: a new leader leases every uncommitted shard anew. It must never accept a
//! second result for a shard.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::ids::{Attempt, PhaseIndex, ShardId, TaskId, WorkerId};

use crate::command::{Command, CommitOutcome, MapStart};
use crate::ledger::Ledger;
use crate::record::TaskResult;
use crate::setback::{Cause, Setback, Verdict};
use crate::turn::Turn;
use crate::workers::Workers;

/// A shard is in `waiting`, in `leased`, or committed (in the ledger).
///
/// ```text
///   waiting --lease--> leased --commit of any try of this term--> committed
///      ^                  |  (also straight from waiting: a try whose lease ran out)
///      +-- fault, loss ---+--> too many: the audit fails
/// ```
#[derive(Debug, Clone)]
pub(crate) struct MapWork {
    phase: PhaseIndex,
    program: String,
    waiting: BTreeSet<ShardId>,
    leased: BTreeMap<ShardId, WorkerId>,
    /// Of uncommitted shards only, so that a committed shard has no try left that could count.
    tries: BTreeMap<ShardId, Tries>,
}

#[derive(Debug, Clone, Default)]
struct Tries {
    issued: u64,
    faults: u32,
    losses: u32,
    /// Where the last try ended badly: another worker goes next, so that one bad machine does not
    /// use up a shard's tries.
    avoid: Option<WorkerId>,
}

impl MapWork {
    pub fn open(ledger: &Ledger, phase: PhaseIndex, program: &str) -> Result<Self, String> {
        let name = &ledger.spec(phase).name;
        let shards =
            ledger.shards(phase).ok_or(format!("phase {name} needs shards; no reduce before it gave an outline"))?;
        let waiting = shards.into_iter().filter(|s| ledger.result(phase, *s).is_none()).collect();
        let program = program.to_owned();
        Ok(Self { phase, program, waiting, leased: BTreeMap::new(), tries: BTreeMap::new() })
    }

    pub fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.leased.is_empty()
    }

    /// Gives every idle worker, in order, the first shard it may have.
    pub fn assign(&mut self, ledger: &Ledger, turn: &mut Turn<'_>) {
        for worker in turn.idle() {
            if let Some(shard) = self.first_for(&worker, turn.workers) {
                self.lease(ledger, turn, worker, shard);
            }
        }
    }

    fn first_for(&self, worker: &WorkerId, workers: &Workers) -> Option<ShardId> {
        let avoided = |shard| self.tries.get(shard).is_some_and(|t| t.avoid.as_ref() == Some(worker));
        self.waiting.iter().find(|shard| workers.joined() == 1 || !avoided(shard)).copied()
    }

    fn lease(&mut self, ledger: &Ledger, turn: &mut Turn<'_>, worker: WorkerId, shard: ShardId) {
        let tries = self.tries.entry(shard).or_default();
        let attempt = Attempt { term: turn.term, counter: tries.issued };
        tries.issued += 1;
        self.waiting.remove(&shard);
        self.leased.insert(shard, worker.clone());
        let task = TaskId { audit: ledger.id.clone(), phase: self.phase, shard, attempt };
        let lease_ms = turn.knobs.lease_ms;
        turn.workers.lease(&worker, task.clone(), lease_ms, turn.now);
        let inputs = ledger.inputs(self.phase, shard);
        turn.outbox.push(Command::StartMap(MapStart { worker, task, program: self.program.clone(), inputs, lease_ms }));
    }

    /// The first commit of a shard counts, whichever of this term's tries it is.
    pub fn commit(
        &mut self,
        ledger: &mut Ledger,
        turn: &mut Turn<'_>,
        task: &TaskId,
        result: TaskResult,
    ) -> CommitOutcome {
        let issued = self.tries.get(&task.shard).map_or(0, |t| t.issued);
        if task.attempt.term != turn.term || task.attempt.counter >= issued {
            return CommitOutcome::Stale;
        }
        ledger.commit_shard(self.phase, task.shard, result, &mut turn.outbox);
        self.tries.remove(&task.shard);
        self.waiting.remove(&task.shard);
        if let Some(holder) = self.leased.remove(&task.shard) {
            self.stop_other(turn, &holder, task);
        }
        CommitOutcome::Applied
    }

    /// A newer try of a committed shard is of no more use.
    fn stop_other(&self, turn: &mut Turn<'_>, holder: &WorkerId, committed: &TaskId) {
        let other = |t: &TaskId| (&t.audit, t.phase, t.shard) == (&committed.audit, committed.phase, committed.shard);
        if turn.workers.task(holder).is_some_and(other) {
            turn.abort(holder, "another attempt committed first");
        }
    }

    pub fn setback(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, setback: &Setback) -> Verdict {
        let shard = setback.task.shard;
        if self.leased.get(&shard) != Some(&setback.worker) {
            return Verdict::Ignored;
        }
        self.leased.remove(&shard);
        self.waiting.insert(shard);
        ledger.count_retry(self.phase, &mut turn.outbox);
        let tries = self.tries.entry(shard).or_default();
        tries.avoid = Some(setback.worker.clone());
        let (count, limit) = tries.count(&setback.cause, turn);
        if !setback.cause.is_fatal() && count < limit {
            return Verdict::Retried;
        }
        let (name, worker, message) = (&ledger.spec(self.phase).name, &setback.worker, setback.cause.message());
        Verdict::Fails(format!(
            "phase {name}, shard {shard}: try {count} of {limit} failed on worker {worker}: {message}"
        ))
    }

    /// Why nothing runs, where nothing does.
    pub fn reason(&self, workers: &Workers) -> String {
        match (self.leased.is_empty(), workers.joined()) {
            (false, _) => String::new(),
            (true, 0) => "no worker joined".to_owned(),
            (true, joined) => format!("waiting for a worker, {joined} joined and none free for it"),
        }
    }
}

impl Tries {
    fn count(&mut self, cause: &Cause, turn: &Turn<'_>) -> (u32, u32) {
        match cause {
            Cause::Fault(_) => {
                self.faults += 1;
                (self.faults, turn.knobs.max_attempts)
            }
            Cause::Loss(_) => {
                self.losses += 1;
                (self.losses, turn.knobs.max_losses)
            }
        }
    }
}
