//! Second opinions: results that count only once another worker of the same kind gave the same.
//!
//! It must never take two results of one worker for two opinions, nor compare results of different kinds of worker.

use lethe_common::blob::Digest;
use lethe_common::ids::{PhaseIndex, ShardId, WorkerId};

use crate::command::CommitOutcome;
use crate::ledger::Ledger;
use crate::map::{MapWork, Open};
use crate::map_ends::{Commit, MILLION};
use crate::record::{Fate, ShardResult};
use crate::turn::Turn;
use crate::workers::Workers;

/// Results of one shard that may disagree before it is given up.
const MAX_VOTES: usize = 3;

/// Shards that one step settles without a second opinion, so that its batch fits the store's limits.
const MAX_SETTLED: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct Vote {
    pub worker: WorkerId,
    pub kind: String,
    pub result: ShardResult,
}

impl MapWork {
    /// A result that must be had from two workers before it counts. Where there is no second worker of the kind,
    /// one has to do.
    pub fn vote(
        &mut self,
        ledger: &mut Ledger,
        turn: &mut Turn<'_>,
        commit: &Commit<'_>,
        result: ShardResult,
    ) -> CommitOutcome {
        let (shard, attempt) = (commit.task.shard, commit.task.attempt);
        let kind = turn.workers.kind(commit.worker);
        let open = self.open.get_mut(&shard).expect("its commit was accepted");
        let comparable = turn.workers.knows(commit.worker) && open.votes.iter().all(|vote| vote.kind == kind);
        if !comparable {
            self.wait_again(shard);
            return CommitOutcome::Stale;
        }
        let voted = open.votes.iter().any(|vote| vote.worker == *commit.worker);
        if !voted {
            let (worker, kind) = (commit.worker.clone(), kind.to_owned());
            open.votes.push(Vote { worker, kind, result });
        }
        self.count_votes(ledger, turn, shard);
        let won = ledger.result(self.phase, shard).is_some_and(|held| held.attempt == attempt);
        if won { CommitOutcome::Applied } else { CommitOutcome::Provisional }
    }

    fn count_votes(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, shard: ShardId) {
        let open = &self.open[&shard];
        match agreed(&open.votes).cloned() {
            Some(result) => self.agree(ledger, turn, shard, result),
            None if open.votes.len() >= MAX_VOTES => self.disagree(ledger, turn, shard),
            None if self.has_second(turn.workers, open) => self.wait_again(shard),
            None if !open.holders.is_empty() => {} // one that drains may still give it
            None => self.settle_alone(ledger, turn, shard),
        }
    }

    fn agree(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, shard: ShardId, result: ShardResult) {
        let odd = self.open[&shard].votes.iter().filter(|vote| !vote.result.agrees_with(&result));
        for worker in odd.map(|vote| vote.worker.clone()).collect::<Vec<_>>() {
            let note = format!("shard {shard}: worker {worker} gave another result than two others, and gets no more");
            ledger.note(self.phase, note, &mut turn.outbox);
            ledger.tally(self.phase, &mut turn.outbox).mismatched += 1;
            self.distrust(worker);
        }
        ledger.tally(self.phase, &mut turn.outbox).checked += 1;
        self.end(ledger, turn, shard, Fate::Done(result));
    }

    /// Nothing it says of this phase counts any more.
    fn distrust(&mut self, worker: WorkerId) {
        self.open.values_mut().for_each(|open| open.votes.retain(|vote| vote.worker != worker));
        self.distrusted.insert(worker);
    }

    fn disagree(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, shard: ShardId) {
        let tally = ledger.tally(self.phase, &mut turn.outbox);
        (tally.checked, tally.mismatched) = (tally.checked + 1, tally.mismatched + 1);
        let votes = self.open[&shard].votes.len();
        let reason = format!("{votes} workers gave {votes} different results");
        self.give_up(ledger, turn, shard, (votes as u32, reason));
    }

    /// One result has to do where nobody else can give one; two that differ are none.
    fn settle_alone(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, shard: ShardId) {
        match &self.open[&shard].votes[..] {
            [only] => {
                let result = only.result.clone();
                self.end(ledger, turn, shard, Fate::Done(result));
            }
            [] | [_, ..] => self.disagree(ledger, turn, shard),
        }
    }

    /// Whether another worker of the first one's kind can still be asked.
    fn has_second(&self, workers: &Workers, open: &Open) -> bool {
        workers.serving().any(|(worker, member)| self.fits(open, worker, &member.profile.kind))
    }

    /// Settles shards whose second result nobody can give any more: their workers left.
    pub fn settle_lonely(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>) {
        if ledger.audit.options.check_ppm == 0 {
            return;
        }
        self.note_trust(turn);
        let lonely =
            |open: &Open| open.holders.is_empty() && !open.votes.is_empty() && !self.has_second(turn.workers, open);
        let lonely: Vec<ShardId> =
            self.open.iter().filter(|(_, open)| lonely(open)).map(|(shard, _)| *shard).take(MAX_SETTLED).collect();
        lonely.into_iter().for_each(|shard| self.settle_alone(ledger, turn, shard));
    }

    fn note_trust(&mut self, turn: &Turn<'_>) {
        let mut serving = turn.workers.serving().peekable();
        let untrusted = serving.peek().is_some() && serving.all(|(worker, _)| self.distrusted.contains(worker));
        match untrusted {
            true => drop(self.untrusted_since.get_or_insert(turn.now)),
            false => self.untrusted_since = None,
        }
    }
}

/// The result that two workers gave.
fn agreed(votes: &[Vote]) -> Option<&ShardResult> {
    let again = |(at, vote): &(usize, &Vote)| votes[..*at].iter().any(|v| v.result.agrees_with(&vote.result));
    let (_, second) = votes.iter().enumerate().find(again)?;
    votes.iter().find(|vote| vote.result.agrees_with(&second.result)).map(|vote| &vote.result)
}

/// A function of the shard alone, so that a new leader checks the same ones.
pub(crate) fn needs_check(ledger: &Ledger, phase: PhaseIndex, shard: ShardId) -> bool {
    let ppm = ledger.audit.options.check_ppm;
    if ppm == 0 {
        return false;
    }
    let digest = Digest::of(format!("check/{}/{phase}/{shard}", ledger.id).as_bytes()).0;
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) % MILLION < ppm
}
