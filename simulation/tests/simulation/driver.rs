//! The driver's model: events in groups, one batch at the head of each list, and the rest once it is stored.
//!
//! It must never act on a command whose batch the store did not take.

use std::collections::VecDeque;

use lethe_common::ids::Attempt;
use lethe_common::ids::{AuditId, PhaseIndex, ShardId};
use lethe_engine::{Change, Command, CommitOutcome, Event, GangStart};
use rand::RngExt;

use crate::faults::FaultKind;
use crate::invariants::{Seen, batch};
use crate::reducers;
use crate::store::Outcome;
use crate::world::World;

/// Events that one group holds at most.
const MAX_GROUP: usize = 40;

impl World {
    /// All that has arrived, in groups of any size.
    pub fn drive(&mut self) {
        while !self.inbox.is_empty() {
            let size = if self.rng.random_bool(0.3) { 1 } else { self.rng.random_range(1..=MAX_GROUP) };
            let group: Vec<(Event, u64)> = self.inbox.drain(..size.min(self.inbox.len())).collect();
            let mut events: VecDeque<Event> = group.iter().map(|(event, _)| event.clone()).collect();
            let mut before = 0;
            while !events.is_empty() {
                let commands = self.engine.step_many(self.now, &mut events);
                let taken = group.len() - events.len() - before;
                let heard = &group[before..before + taken];
                before += taken;
                if self.hear(heard, &commands) == Outcome::Rebuild {
                    let left = group[before..].iter().filter(|(_, session)| *session == 0).cloned();
                    left.rev().for_each(|item| self.inbox.push_front(item));
                    break;
                }
                commands.into_iter().for_each(|command| self.act(command));
            }
        }
    }

    /// One step, as seen by all that watch it; the store decides whether it counts.
    fn hear(&mut self, heard: &[(Event, u64)], commands: &[Command]) -> Outcome {
        heard.iter().for_each(|(event, session)| self.note(event, *session));
        if heard.len() > 1 {
            self.faults.note(FaultKind::Group);
        }
        commands.iter().for_each(|command| self.tell(|| format!("  {command:?}")));
        let events: Vec<Event> = heard.iter().map(|(event, _)| event.clone()).collect();
        self.invariants.heard(self.now, &events);
        let seen = Seen { before: &self.store.records, commands };
        self.invariants.check_list(self.now, &seen);
        let changes = batch(commands);
        if changes.iter().any(|change| matches!(change, Change::Forget(_))) {
            self.faults.note(FaultKind::Forget);
        }
        if !changes.is_empty() && self.store.commit(changes, &mut self.rng, &mut self.faults) == Outcome::Rebuild {
            self.rebuild();
            return Outcome::Rebuild;
        }
        self.invariants.check_acts(self.now, &self.store.records, commands);
        if self.rng.random_bool(0.02) {
            self.compare();
        }
        Outcome::Applied
    }

    fn note(&mut self, event: &Event, session: u64) {
        self.tell(|| format!("{event:?}"));
        match event {
            Event::WorkerJoined { worker, .. } => drop(self.attached.insert(worker.clone(), session)),
            Event::WorkerLost { worker, .. } => drop(self.attached.remove(worker)),
            Event::TaskCommitted { task, .. } if task.attempt.term < self.engine.term() => {
                self.faults.note(FaultKind::OldTerm);
            }
            Event::TaskCommitted { .. } | Event::TaskFailed { .. } | Event::TaskProgressed { .. } => {}
            Event::GangCheckpointed { .. } | Event::GangProgressed { .. } => {}
            Event::Submitted { .. } | Event::RerunRequested { .. } | Event::ControlRequested { .. } => {}
            Event::MarksMade { .. } | Event::WorkerDraining { .. } => {}
            Event::ReduceDone { .. } | Event::ReduceFailed { .. } | Event::Stalled { .. } | Event::Tick => {}
        }
    }

    /// What the engine made of gangs counts as seen.
    fn note_gang(&mut self, command: &Command) {
        let kind = match command {
            Command::StartGangMember(start) if start.task.shard.0 == 0 && self.is_small(start) => FaultKind::Shrink,
            Command::Abort { reason, .. } if reason.contains("growing from") => FaultKind::Grow,
            Command::AcknowledgeCheckpoint { outcome: CommitOutcome::Applied, .. } => FaultKind::Checkpoint,
            Command::AcknowledgeCheckpoint { outcome: CommitOutcome::Stale, .. } => FaultKind::CheckpointStale,
            _ => return,
        };
        self.faults.note(kind);
    }

    fn is_small(&self, start: &GangStart) -> bool {
        let job = self.jobs.iter().find(|job| job.id == start.task.audit).expect("was submitted");
        start.world_size < job.world_size()
    }

    fn act(&mut self, command: Command) {
        self.note_gang(&command);
        let worker = match &command {
            Command::StartMap(start) => start.worker.clone(),
            Command::StartGangMember(start) => start.worker.clone(),
            Command::Abort { worker, .. } | Command::Acknowledge { worker, .. } => worker.clone(),
            Command::AcknowledgeCheckpoint { worker, .. } => worker.clone(),
            Command::StartReduce { audit, phase, attempt, .. } => return self.reduce(audit.clone(), *phase, *attempt),
            Command::Persist(_) | Command::AbortReduce { .. } | Command::AuditEnded { .. } => return,
        };
        self.send_to(&worker, command);
    }

    fn reduce(&mut self, audit: AuditId, phase: PhaseIndex, attempt: Attempt) {
        let job = self.jobs.iter().find(|job| job.id == audit).expect("was submitted").clone();
        let task = (audit.clone(), phase, ShardId(0));
        let fails = self.faults.strikes_task(&mut self.rng, FaultKind::ReduceFault, &task);
        let event =
            if fails { reducers::failed(audit, phase, attempt) } else { reducers::succeeded(&job, phase, attempt) };
        self.send(event);
    }
}
