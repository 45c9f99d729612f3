//! A running gang phase: when enough workers are idle a generation forms; when one member is lost
//! the whole generation is aborted and the next one forms, smaller where it must and larger again where it can.
//!
//! It must never take a result or a checkpoint from any generation but the current one.

use std::collections::BTreeSet;

use lethe_common::blob::parse_attempt_path;
use lethe_common::fault::FaultKind;
use lethe_common::ids::{Attempt, Generation, PhaseIndex, ShardId, TaskId, WorkerId};

use crate::command::{Command, CommitOutcome, GangStart};
use crate::gang_size::{GangSize, Presence};
use crate::ledger::Ledger;
use crate::member::{Task, TaskKind};
use crate::places::{GangPlace, Places};
use crate::record::GangCheckpoint;
use crate::seats::{Seats, seated};
use crate::setback::{Cause, Setback, Verdict};
use crate::turn::Turn;
use crate::workers::Workers;

/// The rank whose outputs are the phase's.
pub(crate) const LEADING_RANK: ShardId = ShardId(0);

#[derive(Debug, Clone)]
pub(crate) struct GangWork {
    phase: PhaseIndex,
    program: String,
    size: GangSize,
    issued: u64,
    /// Who held which rank in the last generation, so that a restored gang is the same one.
    seats: Seats,
    /// Of the members of the last generation.
    places: Places,
    /// How the last generation ended.
    last_end: Option<String>,
    state: GangState,
}

/// ```text
///   Forming --enough idle workers--> Running --rank 0 commits--> (the phase is done)
///      ^                                |
///      +--- it can be larger, no blame -+
///      +---- a member lost or failed ---+--> fatal: the audit fails
///      +--> generations used up: the audit fails
/// ```
#[derive(Debug, Clone)]
enum GangState {
    Forming,
    /// Ranks that have committed are done with; their workers may already do something else.
    Running {
        attempt: Attempt,
        committed: BTreeSet<ShardId>,
    },
}

/// What forming came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Formed {
    Running,
    /// Not enough idle workers now, but enough have joined: they should be kept for it.
    Gathering,
    /// Not enough have joined, or they are kept for another gang.
    TooFew,
    UsedUp(String),
}

impl GangWork {
    pub fn open(phase: PhaseIndex, program: &str, size: GangSize) -> Self {
        let (program, seats, places) = (program.to_owned(), Seats::new(), Places::default());
        Self { phase, program, size, issued: 0, seats, places, last_end: None, state: GangState::Forming }
    }

    pub fn form(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>) -> Formed {
        let here = turn.presence();
        self.size.note(&here, self.running());
        match self.state {
            GangState::Running { .. } => return Formed::Running,
            GangState::Forming => {}
        }
        let (used, limit) = (ledger.phase(self.phase).tally.strikes, turn.knobs.max_generations);
        if used >= limit {
            let name = &ledger.spec(self.phase).name;
            return Formed::UsedUp(format!(
                "phase {name}: {used} of at most {limit} generations failed, the last: {}",
                self.last_end.as_deref().unwrap_or("a new leader formed it again")
            ));
        }
        if turn.gathers || !self.size.has_enough(&here) {
            return Formed::TooFew;
        }
        match self.size.with(turn.workers.idle().count(), &here) {
            Some(size) if !self.awaits_member(turn.workers) => {
                self.seats = seated(&self.seats, size, turn.workers.idle());
                self.start(ledger, turn);
                Formed::Running
            }
            Some(_) | None => Formed::Gathering,
        }
    }

    /// A member of the last generation is still stopping, and should have its rank again.
    fn awaits_member(&self, workers: &Workers) -> bool {
        self.seats.values().any(|worker| workers.is_aborting(worker))
    }

    /// Ranks of the generation that runs.
    fn running(&self) -> Option<u32> {
        match self.state {
            GangState::Running { .. } => Some(self.seats.len() as u32),
            GangState::Forming => None,
        }
    }

    /// Whether it runs with fewer ranks than it wants.
    pub fn is_small(&self) -> bool {
        self.running().is_some_and(|ranks| ranks < self.size.full())
    }

    /// Ends a generation that could be larger, by workers whom nobody else wants; whether it did. Where a rank has
    /// committed it is at its end.
    pub fn grow(&mut self, ledger: &Ledger, turn: &mut Turn<'_>) -> bool {
        match &self.state {
            GangState::Running { committed, .. } if committed.is_empty() => {}
            GangState::Running { .. } | GangState::Forming => return false,
        }
        let now = self.seats.len() as u32;
        let stay = self.seats.values().filter(|worker| turn.workers.is_serving(worker)).count();
        let free = turn.workers.idle().count();
        match self.size.with(stay + free, &turn.presence()) {
            Some(next) if free > 0 && next > now => {
                self.abort_generation(ledger, turn, format!("growing from {now} to {next} ranks"));
                true
            }
            Some(_) | None => false,
        }
    }

    fn start(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>) {
        let generation = ledger.next_generation(self.phase, &mut turn.outbox);
        let attempt = Attempt { term: turn.term, counter: self.issued };
        self.issued += 1;
        self.state = GangState::Running { attempt, committed: BTreeSet::new() };
        self.places = Places::default();
        for (rank, worker) in &self.seats {
            self.places.seat(*rank, worker, turn.workers.host(worker));
            let start = self.member(ledger, turn, (*rank, worker), (generation, attempt));
            let (id, kind) = (start.task.clone(), TaskKind::Gang);
            turn.workers.lease(worker, Task { id, kind, since: turn.now, aborting: None }, turn.knobs.gang_lease_ms);
            turn.outbox.push(Command::StartGangMember(start));
        }
    }

    fn member(
        &self,
        ledger: &Ledger,
        turn: &Turn<'_>,
        seat: (ShardId, &WorkerId),
        try_: (Generation, Attempt),
    ) -> GangStart {
        let ((rank, worker), (generation, attempt)) = (seat, try_);
        GangStart {
            worker: worker.clone(),
            task: TaskId { audit: ledger.id.clone(), phase: self.phase, shard: rank, attempt },
            generation,
            world_size: self.seats.len() as u32,
            program: self.program.clone(),
            inputs: ledger.shared_inputs(self.phase),
            timeout_ms: turn.knobs.gang_timeout_ms,
            checkpoint: ledger.phase(self.phase).checkpoint.clone(),
        }
    }

    /// Whether a commit is of the current generation, by the worker that holds the rank. The caller
    /// ends the phase where the rank is the leading one.
    pub fn commit(&mut self, worker: &WorkerId, task: &TaskId) -> CommitOutcome {
        match &mut self.state {
            GangState::Running { attempt, committed }
                if *attempt == task.attempt && self.seats.get(&task.shard) == Some(worker) =>
            {
                committed.insert(task.shard);
                CommitOutcome::Applied
            }
            GangState::Running { .. } | GangState::Forming => CommitOutcome::Stale,
        }
    }

    /// Keeps what a later generation may begin with, where it is of the current one's leading rank and newer than what
    /// this generation kept. What an earlier one kept it went on from, or it was of no use to any rank.
    pub fn checkpoint(
        &self,
        ledger: &mut Ledger,
        turn: &mut Turn<'_>,
        (worker, task): (&WorkerId, &TaskId),
        checkpoint: GangCheckpoint,
    ) -> CommitOutcome {
        let current = match &self.state {
            GangState::Running { attempt, .. } => *attempt == task.attempt,
            GangState::Forming => false,
        };
        if !current || task.shard != LEADING_RANK || self.seats.get(&LEADING_RANK) != Some(worker) {
            return CommitOutcome::Stale;
        }
        match &ledger.phase(self.phase).checkpoint {
            Some(kept) if *kept == checkpoint => CommitOutcome::Applied, // its answer was lost
            Some(kept) if kept.step >= checkpoint.step && is_of(&kept.blob.path, task) => CommitOutcome::Stale,
            Some(kept) if kept.blob.path == checkpoint.blob.path => CommitOutcome::Refused,
            Some(_) | None => {
                // A training that gets on has not used its generations up, however many it loses on the way.
                if checkpoint.step > ledger.phase(self.phase).furthest {
                    ledger.tally(self.phase, &mut turn.outbox).strikes = 0;
                }
                ledger.keep_checkpoint(self.phase, checkpoint, &mut turn.outbox);
                CommitOutcome::Applied
            }
        }
    }

    pub fn setback(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, setback: &Setback) -> Verdict {
        let (task, worker) = (&setback.task, &setback.worker);
        match &self.state {
            GangState::Running { attempt, committed }
                if *attempt == task.attempt && !committed.contains(&task.shard) => {}
            GangState::Running { .. } | GangState::Forming => return Verdict::Ignored,
        }
        ledger.count_retry(self.phase, &mut turn.outbox);
        let mut why = format!("rank {} on worker {worker}: {}", task.shard, setback.cause.message());
        match end_of(&setback.cause) {
            End::Audit => {
                return Verdict::Fails(format!("phase {}, {why}", ledger.spec(self.phase).name));
            }
            End::Strike => {
                ledger.tally(self.phase, &mut turn.outbox).strikes += 1;
                why.extend(self.places.blame().map(|blame| format!("; {blame}")));
            }
            End::NobodysFault => {}
        }
        if !turn.workers.knows(worker) {
            self.size.wait_anew(turn.now);
        }
        self.abort_generation(ledger, turn, why);
        Verdict::Retried
    }

    /// Ends the generation without blame, so that its workers are free; it forms again when it may.
    pub fn pause(&mut self, ledger: &Ledger, turn: &mut Turn<'_>) {
        self.size.forget_wait();
        match self.state {
            GangState::Forming => {}
            GangState::Running { .. } => self.abort_generation(ledger, turn, "the audit was paused".to_owned()),
        }
    }

    /// The workers that still run a rank of it stop; one that has moved on to other work does not.
    fn abort_generation(&mut self, ledger: &Ledger, turn: &mut Turn<'_>, why: String) {
        let reason = format!("generation aborted: {why}");
        self.last_end = Some(why);
        let member = |task: &&TaskId| task.audit == ledger.id && task.phase == self.phase;
        for worker in self.seats.values() {
            let held: Vec<TaskId> = turn.workers.tasks(worker).filter(member).cloned().collect();
            held.iter().for_each(|task| turn.abort(worker, task, &reason));
        }
        self.state = GangState::Forming;
    }

    /// A rank of the current generation says where it is; whether it took a step since it last did.
    pub fn place(&mut self, worker: &WorkerId, task: &TaskId, place: GangPlace) -> bool {
        match &self.state {
            GangState::Running { attempt, .. } if *attempt == task.attempt && task.phase == self.phase => {
                self.places.note(task.shard, worker, place)
            }
            GangState::Running { .. } | GangState::Forming => false,
        }
    }

    pub fn forgive_stall(&mut self, ms: u64) {
        self.size.forgive_stall(ms);
    }

    /// Why it does not run, where it does not.
    pub fn reason(&self, workers: &Workers, here: &Presence) -> String {
        match self.state {
            GangState::Running { .. } => String::new(),
            GangState::Forming if self.awaits_member(workers) => {
                "waiting for the aborted generation to stop".to_owned()
            }
            GangState::Forming => self.size.reason(workers.idle().count(), here),
        }
    }

    /// What a person should know beside the reason: how small it is, and how the generation before ended.
    pub fn notes(&self) -> Vec<String> {
        let full = self.size.full();
        let small = self.running().filter(|ranks| *ranks < full);
        let small = small.map(|ranks| format!("runs with {ranks} of {full} ranks; grows when more workers are idle"));
        let end = self.last_end.iter().map(|end| format!("the last generation ended: {end}"));
        small.into_iter().chain(end).collect()
    }
}

/// What the end of one rank means for the others.
enum End {
    Audit,
    Strike,
    NobodysFault,
}

fn end_of(cause: &Cause) -> End {
    match cause {
        Cause::Loss(_) => End::Strike,
        Cause::Fault(fault) => match fault.kind {
            FaultKind::Fatal | FaultKind::BadShard => End::Audit,
            FaultKind::Retryable | FaultKind::OutOfMemory | FaultKind::Storage => End::Strike,
            FaultKind::HandedBack => End::NobodysFault,
        },
    }
}

/// Whether an attempt wrote a blob.
fn is_of(path: &str, task: &TaskId) -> bool {
    parse_attempt_path(path).is_some_and(|(writer, _)| writer == *task)
}
