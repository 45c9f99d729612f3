//! How the tries of a map phase end: with a result, with a second opinion, or with a setback.
//!
//! It must never end a shard twice, and never blame a shard for what its worker did.

use lethe_common::blob::{Digest, NamedBlob, attempt_path};
use lethe_common::fault::FaultKind;
use lethe_common::ids::{PhaseIndex, ShardId, TaskId, WorkerId};

use crate::command::CommitOutcome;
use crate::event::Counts;
use crate::ledger::Ledger;
use crate::map::{Holder, MapWork, Open};
use crate::record::{Fate, ShardResult};
use crate::setback::{Cause, Setback, Verdict};
use crate::turn::Turn;

const MILLION: u32 = 1_000_000;

/// Results of one shard that may disagree before it is given up.
const MAX_VOTES: usize = 3;

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
        let result = ledger.pack(self.phase, task.attempt, commit.outputs, commit.counts);
        let open = self.open.get_mut(&shard).expect("was found above");
        if let Some(holder) = open.let_go(commit.worker) {
            self.pace.note(turn.now, turn.now.since_ms(holder.since));
        }
        if needs_check(ledger, self.phase, shard) {
            return self.vote(ledger, turn, commit, result);
        }
        self.end(ledger, turn, shard, Fate::Done(result));
        CommitOutcome::Applied
    }

    /// A result that must be had from two workers before it counts. Where there is no second worker of the kind,
    /// one has to do.
    fn vote(
        &mut self,
        ledger: &mut Ledger,
        turn: &mut Turn<'_>,
        commit: &Commit<'_>,
        result: ShardResult,
    ) -> CommitOutcome {
        let shard = commit.task.shard;
        let open = self.open.get_mut(&shard).expect("its commit was accepted");
        if open.votes.iter().any(|(voter, _)| voter == commit.worker) {
            return CommitOutcome::Provisional;
        }
        let agreed = open.votes.iter().find(|(_, vote)| vote.agrees_with(&result)).map(|(_, vote)| vote.clone());
        open.votes.push((commit.worker.clone(), result.clone()));
        let votes = open.votes.clone();
        match agreed {
            Some(first) => self.agree(ledger, turn, (shard, first), &votes),
            None if votes.len() >= MAX_VOTES => self.disagree(ledger, turn, shard),
            None if self.has_second(turn, shard) => {
                self.wait_again(shard);
                return CommitOutcome::Provisional;
            }
            None => self.end(ledger, turn, shard, Fate::Done(votes[0].1.clone())),
        }
        let won = ledger.result(self.phase, shard).is_some_and(|held| held.attempt == commit.task.attempt);
        if won { CommitOutcome::Applied } else { CommitOutcome::Provisional }
    }

    fn agree(
        &mut self,
        ledger: &mut Ledger,
        turn: &mut Turn<'_>,
        (shard, result): (ShardId, ShardResult),
        votes: &[(WorkerId, ShardResult)],
    ) {
        let odd = votes.iter().filter(|(_, vote)| !vote.agrees_with(&result)).map(|(voter, _)| voter);
        for worker in odd {
            let note = format!("shard {shard}: worker {worker} gave another result than two others, and gets no more");
            ledger.note(self.phase, note, &mut turn.outbox);
            ledger.tally(self.phase, &mut turn.outbox).mismatched += 1;
            self.distrusted.insert(worker.clone());
        }
        ledger.tally(self.phase, &mut turn.outbox).checked += 1;
        self.end(ledger, turn, shard, Fate::Done(result));
    }

    fn disagree(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, shard: ShardId) {
        let tally = ledger.tally(self.phase, &mut turn.outbox);
        (tally.checked, tally.mismatched) = (tally.checked + 1, tally.mismatched + 1);
        let reason = format!("{MAX_VOTES} workers gave {MAX_VOTES} different results");
        self.end(ledger, turn, shard, Fate::Quarantined { tries: MAX_VOTES as u32, reason });
    }

    /// Whether another worker of the first one's kind can still be asked.
    fn has_second(&self, turn: &Turn<'_>, shard: ShardId) -> bool {
        let votes = &self.open[&shard].votes;
        let kind = turn.workers.kind(&votes[0].0);
        let fits = |worker: &WorkerId| !self.distrusted.contains(worker) && votes.iter().all(|(v, _)| v != worker);
        turn.workers.serving().any(|(worker, member)| member.profile.kind == kind && fits(worker))
    }

    /// Takes the first result of shards whose second nobody can give any more: their workers left.
    pub fn settle_lonely(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>) {
        if ledger.audit.options.check_ppm == 0 {
            return;
        }
        let voted = self.open.iter().filter(|(_, open)| open.holders.is_empty() && !open.votes.is_empty());
        let voted: Vec<ShardId> = voted.map(|(shard, _)| *shard).collect();
        for shard in voted.into_iter().filter(|shard| !self.has_second(turn, *shard)).collect::<Vec<_>>() {
            let first = self.open[&shard].votes[0].1.clone();
            self.end(ledger, turn, shard, Fate::Done(first));
        }
    }

    fn end(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, shard: ShardId, fate: Fate) {
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
        let Some(holder) = open.let_go(worker) else { return Verdict::Ignored };
        ledger.count_retry(self.phase, &mut turn.outbox);
        self.waiting.remove(&(open.strikes(), shard));
        match open.strike(setback, &holder, turn, (ledger, self.phase)) {
            Spent::No => {
                self.wait_again(shard);
                Verdict::Retried
            }
            Spent::Shard { tries } => {
                let reason = format!("worker {worker}: {}", setback.cause.message());
                self.end(ledger, turn, shard, Fate::Quarantined { tries, reason });
                self.too_many_lost(ledger, setback)
            }
            Spent::Audit => {
                let name = &ledger.spec(self.phase).name;
                Verdict::Fails(format!("phase {name}, shard {shard}, worker {worker}: {}", setback.cause.message()))
            }
        }
    }

    fn too_many_lost(&self, ledger: &Ledger, last: &Setback) -> Verdict {
        let shards = u64::from(ledger.audit.outline.as_ref().map_or(0, |outline| outline.shards));
        let (lost, limit_ppm) = (ledger.quarantined(), ledger.audit.options.max_lost_ppm);
        if lost * u64::from(MILLION) <= u64::from(limit_ppm) * shards {
            return Verdict::Retried;
        }
        let (name, limit) = (&ledger.spec(self.phase).name, f64::from(limit_ppm) / f64::from(MILLION));
        let (shard, worker, message) = (last.task.shard, &last.worker, last.cause.message());
        Verdict::Fails(format!(
            "phase {name}: {lost} of {shards} shards are lost, more than the share of {limit} that data.max_failed_share \
             allows; the last was shard {shard}, on worker {worker}: {message}"
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
        (ledger, phase): (&mut Ledger, PhaseIndex),
    ) -> Spent {
        let kind = match &setback.cause {
            Cause::Loss(_) => return self.lose(setback, turn),
            Cause::Fault(fault) => fault.kind,
        };
        match kind {
            FaultKind::Fatal => Spent::Audit,
            FaultKind::BadShard => Spent::Shard { tries: self.strikes() + 1 },
            FaultKind::HandedBack => Spent::No,
            FaultKind::OutOfMemory if halve(holder, turn, ledger, phase) => Spent::No,
            FaultKind::OutOfMemory | FaultKind::Retryable => {
                self.avoid = Some(setback.worker.clone());
                self.faults += 1;
                self.spent(self.faults >= turn.knobs.max_attempts)
            }
        }
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

/// A function of the shard alone, so that a new leader checks the same ones.
fn needs_check(ledger: &Ledger, phase: PhaseIndex, shard: ShardId) -> bool {
    let ppm = ledger.audit.options.check_ppm;
    if ppm == 0 {
        return false;
    }
    let digest = Digest::of(format!("check/{}/{phase}/{shard}", ledger.id).as_bytes()).0;
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) % MILLION < ppm
}
