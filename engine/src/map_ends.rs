//! How the tries of a map phase end: with a result or with a setback.
//!
//! It must never end a shard twice, and never blame a shard for what its worker did.

use lethe_common::blob::{NamedBlob, attempt_path};
use lethe_common::fault::FaultKind;
use lethe_common::ids::{PhaseIndex, ShardId, TaskId, WorkerId};
use lethe_common::time::Millis;

use crate::command::CommitOutcome;
use crate::event::Counts;
use crate::ledger::Ledger;
use crate::map::{Holder, MapWork, Open};
use crate::record::Fate;
use crate::setback::{Cause, Setback, Verdict};
use crate::turn::Turn;
use crate::votes::needs_check;

pub(crate) const MILLION: u32 = 1_000_000;

/// A try's result, as its worker reported it.
pub(crate) struct Commit<'a> {
    pub worker: &'a WorkerId,
    pub task: &'a TaskId,
    pub outputs: &'a [NamedBlob],
    pub counts: Counts,
}

impl Commit<'_> {
    /// Whether every output lies where this very attempt writes.
    pub fn is_its_own(&self) -> bool {
        self.outputs.iter().all(|output| output.blob.path == attempt_path(self.task, &output.name))
    }
}

impl MapWork {
    /// The first commit of a shard counts, whichever of this term's tries it is.
    pub fn commit(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, commit: &Commit<'_>) -> CommitOutcome {
        let (task, shard) = (commit.task, commit.task.shard);
        let issued = self.open.get(&shard).map_or(0, |open| open.issued);
        if task.attempt.term != turn.term || task.attempt.counter >= issued {
            return CommitOutcome::Stale;
        }
        let open = self.open.get_mut(&shard).expect("was found above");
        let holder = open.let_go(commit.worker, task.attempt);
        if self.distrusted.contains(commit.worker) {
            self.wait_again(shard);
            return CommitOutcome::Stale;
        }
        self.failing_since = None;
        if let Some(holder) = holder {
            self.pace.note(turn.now, turn.now.since_ms(holder.since));
        }
        let result = ledger.pack(self.phase, task.attempt, commit.outputs, commit.counts);
        if needs_check(ledger, self.phase, shard) {
            return self.vote(ledger, turn, commit, result);
        }
        self.end(ledger, turn, shard, Fate::Done(result));
        CommitOutcome::Applied
    }

    pub fn end(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, shard: ShardId, fate: Fate) {
        let open = self.open.remove(&shard).expect("an ended shard was tried");
        self.waiting.remove(&(open.strikes(), shard));
        ledger.end_shard(self.phase, shard, fate, &mut turn.outbox);
        for holder in open.holders {
            self.stop_other(ledger, turn, &holder.worker, shard);
        }
    }

    /// Another try of an ended shard is of no more use.
    fn stop_other(&self, ledger: &Ledger, turn: &mut Turn<'_>, holder: &WorkerId, shard: ShardId) {
        let same = |task: &&TaskId| (&task.audit, task.phase, task.shard) == (&ledger.id, self.phase, shard);
        let held = turn.workers.tasks(holder).find(same).cloned();
        if let Some(task) = held {
            turn.abort(holder, &task, "the shard has ended otherwise");
        }
    }

    pub fn setback(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, setback: &Setback) -> Verdict {
        let (shard, worker) = (setback.task.shard, &setback.worker);
        let Some(open) = self.open.get_mut(&shard) else { return Verdict::Ignored };
        let Some(holder) = open.let_go(worker, setback.task.attempt) else { return Verdict::Ignored };
        ledger.count_retry(self.phase, &mut turn.outbox);
        let failing_since = *self.failing_since.get_or_insert(turn.now);
        self.waiting.remove(&(open.strikes(), shard));
        match open.strike(setback, &holder, turn, (ledger, self.phase, failing_since)) {
            Spent::No => {
                self.wait_again(shard);
                Verdict::Retried
            }
            Spent::Shard { tries } => {
                let reason = format!("worker {worker}: {}", setback.cause.message());
                self.give_up(ledger, turn, shard, (tries, reason));
                self.too_many_lost(ledger)
            }
            Spent::Audit => {
                let name = &ledger.spec(self.phase).name;
                Verdict::Fails(format!("phase {name}, shard {shard}, worker {worker}: {}", setback.cause.message()))
            }
        }
    }

    /// Quarantines a shard.
    pub fn give_up(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, shard: ShardId, why: (u32, String)) {
        let (tries, reason) = why;
        self.last_lost = format!("shard {shard}, {reason}");
        self.end(ledger, turn, shard, Fate::Quarantined { tries, reason });
    }

    /// Whether more shards are given up than the audit allows.
    pub fn too_many_lost(&self, ledger: &Ledger) -> Verdict {
        let shards = u64::from(ledger.audit.outline.as_ref().map_or(0, |outline| outline.shards));
        let (lost, limit_ppm) = (ledger.quarantined(), ledger.audit.options.max_lost_ppm);
        if lost * u64::from(MILLION) <= u64::from(limit_ppm) * shards {
            return Verdict::Retried;
        }
        let (name, limit) = (&ledger.spec(self.phase).name, f64::from(limit_ppm) / f64::from(MILLION));
        Verdict::Fails(format!(
            "phase {name}: {lost} of {shards} shards are lost, more than the share of {limit} that data.max_failed_share \
             allows; the last was {}",
            self.last_lost
        ))
    }
}

/// What a setback used up.
enum Spent {
    No,
    Shard { tries: u32 },
    Audit,
}

impl Open {
    fn strike(
        &mut self,
        setback: &Setback,
        holder: &Holder,
        turn: &mut Turn<'_>,
        (ledger, phase, failing_since): (&mut Ledger, PhaseIndex, Millis),
    ) -> Spent {
        let kind = match &setback.cause {
            Cause::Loss(_) => return self.lose(setback, turn),
            Cause::Fault(fault) => fault.kind,
        };
        match kind {
            FaultKind::Fatal => Spent::Audit,
            FaultKind::BadShard => Spent::Shard { tries: self.strikes() + 1 },
            FaultKind::HandedBack => Spent::No,
            FaultKind::Storage => self.wait_for_storage(setback, turn, failing_since),
            FaultKind::OutOfMemory if halve(holder, turn, ledger, phase) => Spent::No,
            FaultKind::OutOfMemory | FaultKind::Retryable => {
                self.avoid = Some(setback.worker.clone());
                self.faults += 1;
                self.spent(self.faults >= turn.knobs.max_attempts)
            }
        }
    }

    /// No shard fills a disk alone: it is given up once it had its tries and the phase has stored nothing for as long as
    /// an audit waits for workers. Either alone says little: tries may be short, and one try may be longer than that.
    fn wait_for_storage(&mut self, setback: &Setback, turn: &Turn<'_>, failing_since: Millis) -> Spent {
        self.avoid = Some(setback.worker.clone());
        self.unstored += 1;
        let is_over = turn.now.since_ms(failing_since) >= turn.knobs.grace_ms;
        self.spent(is_over && self.unstored >= turn.knobs.max_attempts)
    }

    fn lose(&mut self, setback: &Setback, turn: &Turn<'_>) -> Spent {
        self.avoid = Some(setback.worker.clone());
        self.losses += 1;
        self.spent(self.losses >= turn.knobs.max_losses)
    }

    fn spent(&self, is: bool) -> Spent {
        if is { Spent::Shard { tries: self.strikes() } } else { Spent::No }
    }
}

/// Whether a smaller batch is still worth a try; remembers it for the worker's kind, unless that was done since
/// the task was leased.
fn halve(holder: &Holder, turn: &mut Turn<'_>, ledger: &mut Ledger, phase: PhaseIndex) -> bool {
    let kind = turn.workers.kind(&holder.worker).to_owned();
    let now = ledger.phase(phase).halvings.get(&kind).copied().unwrap_or_default();
    if now >= turn.knobs.max_halvings && holder.batch_halvings == now {
        return false;
    }
    if holder.batch_halvings == now {
        ledger.halve(phase, &kind, &mut turn.outbox);
    }
    true
}
