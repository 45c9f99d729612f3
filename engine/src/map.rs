//! A running map phase: which shards wait, who holds the others, and how often each was tried.
//!
//! All of this is soft: a new leader leases every unfinished shard anew. It must never accept a
//! second result for a shard.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::ids::{Attempt, PhaseIndex, ShardId, TaskId, WorkerId};
use lethe_common::time::Millis;

use crate::command::{Command, MapStart};
use crate::knobs::Knobs;
use crate::ledger::Ledger;
use crate::member::{Task, TaskKind};
use crate::pace::Pace;
use crate::turn::Turn;
use crate::votes::Vote;
use crate::workers::Workers;

/// A shard is in `waiting`, or held by workers, or ended (in the ledger).
///
/// ```text
///   waiting --lease--> held --commit of any try of this term--> done
///      ^                 |  (also straight from waiting: a try whose lease ran out)
///      +-- fault, loss --+--> too many, or a bad shard: quarantined
/// ```
#[derive(Debug, Clone)]
pub(crate) struct MapWork {
    pub phase: PhaseIndex,
    /// With how often each failed: those that never did go first.
    pub waiting: BTreeSet<(u32, ShardId)>,
    /// Of unfinished shards only, so that a finished shard has no try left that could count.
    pub open: BTreeMap<ShardId, Open>,
    pub pace: Pace,
    /// Workers whose results two others contradicted.
    pub distrusted: BTreeSet<WorkerId>,
    /// Since when only such workers have been there.
    pub untrusted_since: Option<Millis>,
    /// Since when its own tasks fail, none having given a result.
    pub failing_since: Option<Millis>,
    /// The shard that was last given up, and why.
    pub last_lost: String,
}

/// A shard that was tried and has no end yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open {
    pub issued: u64,
    pub faults: u32,
    pub losses: u32,
    /// Tries whose results could not be stored, or inputs not be read.
    pub unstored: u32,
    /// Where the last try ended badly: another worker goes next, so that one bad machine does not
    /// use up a shard's tries.
    pub avoid: Option<WorkerId>,
    pub holders: Vec<Holder>,
    /// Results that wait for a second worker's to agree with.
    pub votes: Vec<Vote>,
}

#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub worker: WorkerId,
    pub attempt: Attempt,
    pub since: Millis,
    /// What its kind had been told of its memory when it was leased the shard.
    pub batch_halvings: u32,
}

impl Open {
    pub fn strikes(&self) -> u32 {
        self.faults + self.losses + self.unstored
    }

    /// The holder of one try, which no longer holds it. A newer try of the same worker goes on.
    pub fn let_go(&mut self, worker: &WorkerId, attempt: Attempt) -> Option<Holder> {
        let at = self.holders.iter().position(|holder| (&holder.worker, holder.attempt) == (worker, attempt))?;
        Some(self.holders.remove(at))
    }
}

impl MapWork {
    pub fn open(ledger: &Ledger, phase: PhaseIndex, now: Millis) -> Result<Self, String> {
        let name = &ledger.spec(phase).name;
        let shards =
            ledger.shards(phase).ok_or(format!("phase {name} needs shards; no reduce before it gave an outline"))?;
        let results = ledger.results(phase);
        let waiting = shards.into_iter().filter(|s| results.fate(*s).is_none()).map(|shard| (0, shard)).collect();
        let (open, pace, distrusted) = (BTreeMap::new(), Pace::begin(now), BTreeSet::new());
        Ok(Self {
            phase,
            waiting,
            open,
            pace,
            distrusted,
            untrusted_since: None,
            failing_since: None,
            last_lost: String::new(),
        })
    }

    pub fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty()
    }

    /// Shards without an end.
    pub fn unfinished(&self) -> u64 {
        let held = self.open.values().filter(|open| !open.holders.is_empty()).count();
        (self.waiting.len() + held) as u64
    }

    /// Leases the worker the first shard it may have; false where there is none.
    pub fn assign(&mut self, ledger: &Ledger, turn: &mut Turn<'_>, worker: &WorkerId) -> bool {
        match self.first_for(worker, turn.workers) {
            Some((strikes, shard)) => {
                self.waiting.remove(&(strikes, shard));
                self.lease(ledger, turn, worker, shard);
                true
            }
            None => false,
        }
    }

    fn first_for(&self, worker: &WorkerId, workers: &Workers) -> Option<(u32, ShardId)> {
        if self.distrusted.contains(worker) {
            return None;
        }
        let suits = |shard: &ShardId| self.open.get(shard).is_none_or(|open| self.suits(open, worker, workers));
        self.waiting.iter().find(|(_, shard)| suits(shard)).copied()
    }

    /// Whether a worker may try a shard. One on which it failed is avoided only while another could have it.
    fn suits(&self, open: &Open, worker: &WorkerId, workers: &Workers) -> bool {
        let kind = workers.kind(worker);
        let others = || workers.serving().filter(|(other, _)| *other != worker);
        self.fits(open, worker, kind)
            && (open.avoid.as_ref() != Some(worker)
                || !others().any(|(other, member)| self.fits(open, other, &member.profile.kind)))
    }

    /// Whether a worker's result of a shard would be of use.
    pub fn fits(&self, open: &Open, worker: &WorkerId, kind: &str) -> bool {
        let of_use = |vote: &Vote| vote.worker != *worker && vote.kind == kind;
        !self.distrusted.contains(worker) && open.votes.iter().all(of_use)
    }

    /// Second copies of shards that take far longer than the others, for workers that have nothing else: the
    /// last percent must not wait for the slowest machine.
    pub fn speculate(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>) {
        if !self.waiting.is_empty() {
            return;
        }
        let limit_ms = self.pace.slow_ms().map_or(turn.knobs.lease_ms / 2, |ms| ms.max(turn.knobs.speculate_ms));
        let idle: Vec<WorkerId> = turn.workers.idle().cloned().collect();
        for worker in idle {
            if self.steal(ledger, turn, &worker) {
                continue;
            }
            let slow = |open: &Open| match &open.holders[..] {
                [holder] => {
                    let late = turn.now.since_ms(holder.since) >= limit_ms;
                    late && holder.worker != worker && self.suits(open, &worker, turn.workers)
                }
                [] | [_, ..] => false,
            };
            let oldest = self.open.iter().filter(|(_, open)| slow(open)).min_by_key(|(_, open)| open.holders[0].since);
            let Some(shard) = oldest.map(|(shard, _)| *shard) else { continue };
            ledger.tally(self.phase, &mut turn.outbox).speculated += 1;
            self.lease(ledger, turn, &worker, shard);
        }
    }

    /// What only waits on a busy worker goes to one that has nothing: no work is lost by it, and nobody is to blame.
    fn steal(&mut self, ledger: &Ledger, turn: &mut Turn<'_>, worker: &WorkerId) -> bool {
        let waits = |shard: &ShardId, open: &Open| match &open.holders[..] {
            [holder] => {
                let task =
                    TaskId { audit: ledger.id.clone(), phase: self.phase, shard: *shard, attempt: holder.attempt };
                let behind = turn.workers.tasks(&holder.worker).skip(1).any(|held| *held == task);
                (behind && self.suits(open, worker, turn.workers)).then(|| (holder.worker.clone(), task))
            }
            [] | [_, ..] => None,
        };
        let last = self.open.iter().rev().find_map(|(shard, open)| waits(shard, open));
        let Some((holder, task)) = last else { return false };
        turn.abort(&holder, &task, "a worker that has nothing else takes it");
        if let Some(open) = self.open.get_mut(&task.shard) {
            open.let_go(&holder, task.attempt);
        }
        self.lease(ledger, turn, worker, task.shard);
        true
    }

    fn lease(&mut self, ledger: &Ledger, turn: &mut Turn<'_>, worker: &WorkerId, shard: ShardId) {
        let open = self.open.entry(shard).or_default();
        let attempt = Attempt { term: turn.term, counter: open.issued };
        open.issued += 1;
        let halvings = ledger.phase(self.phase).halvings.get(turn.workers.kind(worker)).copied();
        let batch_halvings = halvings.unwrap_or_default();
        open.holders.push(Holder { worker: worker.clone(), attempt, since: turn.now, batch_halvings });
        let id = TaskId { audit: ledger.id.clone(), phase: self.phase, shard, attempt };
        let (lease_ms, kind) = (turn.knobs.lease_ms, TaskKind::Map);
        turn.workers.lease(worker, Task { id: id.clone(), kind, since: turn.now, aborting: None }, lease_ms);
        let inputs = ledger.shard_inputs(self.phase, shard);
        let start = MapStart { worker: worker.clone(), task: id, inputs, lease_ms, batch_halvings };
        turn.outbox.push(Command::StartMap(start));
    }

    /// A shard that nobody holds any more waits again.
    pub fn wait_again(&mut self, shard: ShardId) {
        if let Some(open) = self.open.get(&shard).filter(|open| open.holders.is_empty()) {
            self.waiting.insert((open.strikes(), shard));
        }
    }

    /// Since when every worker fails and nothing of this map ends, and how; nothing where none of its own tasks
    /// failed. A shard that could not be stored has one more try first, within a worker's longest rest: it may be the only
    /// one, and given up alone.
    pub fn failing(&self, workers: &Workers, knobs: &Knobs) -> Option<(Millis, String)> {
        let since = workers.failing_since?.max(self.failing_since?);
        let fault = workers.all_fail()?;
        let unstored = self.open.values().any(|open| open.unstored > 0);
        let since = if unstored { since.plus_ms(knobs.lease_ms) } else { since };
        Some((since, format!("every worker failed one task after the other, {fault}")))
    }

    /// Why nothing runs, where nothing does.
    pub fn reason(&self, workers: &Workers) -> String {
        let held = self.open.values().any(|open| !open.holders.is_empty());
        if held {
            return String::new();
        }
        if let Some(fault) = workers.all_fail() {
            return format!("every worker fails one task after the other and rests; the last: {fault}");
        }
        match (workers.joined(), workers.all().count()) {
            (0, 0) if workers.last_loss.is_empty() => "no worker joined".to_owned(),
            (0, 0) => format!("no worker is left; the last was {}", workers.last_loss),
            (0, draining) => format!("all {draining} workers drain"),
            (joined, _) => format!("waiting for a worker, {joined} joined and none free for it"),
        }
    }
}
