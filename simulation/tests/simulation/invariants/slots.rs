//! A worker never holds more than its slots, nor a gang's rank beside anything else; a shard has two holders at
//! most.

use std::collections::BTreeMap;

use lethe_common::ids::{TaskId, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{Command, Event, Knobs};

use crate::jobs::TRAIN;
use crate::workers::SimWorker;

pub struct Slots {
    knobs: Knobs,
    /// When each worker last showed life, time in which nobody could be heard left out.
    heard: BTreeMap<WorkerId, Millis>,
    /// When the step that is judged began to be taken.
    now: Millis,
    slots: BTreeMap<WorkerId, usize>,
    holds: BTreeMap<WorkerId, Vec<Holding>>,
    /// Ended by the events of the step that is judged.
    ended: Vec<TaskId>,
}

#[derive(Clone)]
struct Holding {
    task: TaskId,
    aborted: Option<Millis>,
}

impl Slots {
    pub fn new(knobs: &Knobs, workers: &BTreeMap<WorkerId, SimWorker>) -> Self {
        let slots = workers.iter().map(|(name, worker)| (name.clone(), worker.profile.slots as usize)).collect();
        let (knobs, heard, now) = (knobs.clone(), BTreeMap::new(), Millis(0));
        Self { knobs, heard, now, slots, holds: BTreeMap::new(), ended: Vec::new() }
    }

    pub fn begin(&mut self, now: Millis) {
        self.now = now;
        self.ended.clear();
    }

    pub fn new_leader(&mut self) {
        self.holds.clear();
        self.heard.clear();
    }

    pub fn heard(&mut self, event: &Event) {
        match event {
            Event::TaskCommitted { worker, task, .. } | Event::TaskFailed { worker, task, .. } => {
                if let Some(held) = self.holds.get_mut(worker) {
                    let ended = held.extract_if(.., |holding| holding.task == *task);
                    let before = self.ended.len();
                    self.ended.extend(ended.map(|holding| holding.task));
                    if self.ended.len() > before {
                        self.heard.insert(worker.clone(), self.now);
                    }
                }
            }
            Event::TaskProgressed { worker, task }
            | Event::GangProgressed { worker, task, .. }
            | Event::GangCheckpointed { worker, task, .. } => {
                let live = |held: &Vec<Holding>| held.iter().any(|h| h.task == *task && h.aborted.is_none());
                if self.holds.get(worker).is_some_and(live) {
                    self.heard.insert(worker.clone(), self.now);
                }
            }
            Event::Stalled { ms } => self.heard.values_mut().for_each(|at| *at = at.plus_ms(*ms)),
            Event::WorkerJoined { worker, .. } | Event::WorkerLost { worker, .. } => {
                let ended = self.holds.remove(worker).into_iter().flatten();
                self.ended.extend(ended.map(|holding| holding.task));
            }
            Event::Submitted { .. } | Event::RerunRequested { .. } | Event::ControlRequested { .. } => {}
            Event::MarksMade { .. } | Event::WorkerDraining { .. } => {}
            Event::ReduceDone { .. } | Event::ReduceFailed { .. } => {}
            Event::Tick => {}
        }
    }

    pub fn check_act(&mut self, now: Millis, command: &Command) -> Result<(), String> {
        match command {
            Command::StartMap(start) => self.take(now, &start.worker, &start.task),
            Command::StartGangMember(start) => self.take(now, &start.worker, &start.task),
            Command::Abort { worker, task, reason } => {
                self.was_silent(now, worker, task, reason)?;
                self.abort(now, worker, task)
            }
            Command::Persist(_) | Command::StartReduce { .. } | Command::AbortReduce { .. } => Ok(()),
            Command::Acknowledge { .. } | Command::AuditEnded { .. } => Ok(()),
            Command::AcknowledgeCheckpoint { .. } => Ok(()),
        }
    }

    /// Whether nothing at all is held, as far as anybody can see.
    pub fn are_all_idle(&self, now: Millis) -> bool {
        let abort_ms = self.knobs.abort_ms;
        let ended = |holding: &Holding| holding.aborted.is_some_and(|at| now.since_ms(at) >= abort_ms);
        self.holds.values().flatten().all(ended)
    }

    /// A lease runs out only where its worker showed no life for so long.
    fn was_silent(&self, now: Millis, worker: &WorkerId, task: &TaskId, reason: &str) -> Result<(), String> {
        let lease_ms = if task.phase == TRAIN { self.knobs.gang_lease_ms } else { self.knobs.lease_ms };
        match self.heard.get(worker) {
            Some(at) if reason == "its lease ran out" && now.since_ms(*at) < lease_ms => {
                Err(format!("the lease of {task} ran out, though {worker} was heard at {at:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn abort(&mut self, now: Millis, worker: &WorkerId, task: &TaskId) -> Result<(), String> {
        let held = self.holds.get_mut(worker).and_then(|held| held.iter_mut().find(|h| h.task == *task));
        match held {
            Some(holding) if holding.aborted.is_none() => {
                holding.aborted = Some(now);
                Ok(())
            }
            None if self.ended.contains(task) => Ok(()),
            Some(_) => Err(format!("{worker} is to abort {task} a second time")),
            None => Err(format!("{worker} is to abort {task}, which it does not hold")),
        }
    }

    fn take(&mut self, now: Millis, worker: &WorkerId, task: &TaskId) -> Result<(), String> {
        let same = |h: &&Holding| {
            h.aborted.is_none() && (&h.task.audit, h.task.phase, h.task.shard) == (&task.audit, task.phase, task.shard)
        };
        let copies: usize = self.holds.values().map(|held| held.iter().filter(same).count()).sum();
        let (abort_ms, room) = (self.knobs.abort_ms, self.slots[worker]);
        let held = self.holds.entry(worker.clone()).or_default();
        let twice = held.iter().any(|holding| same(&holding));
        held.retain(|holding| holding.aborted.is_none_or(|at| now.since_ms(at) < abort_ms));
        let gang = held.iter().any(|h| h.task.phase == TRAIN) || task.phase == TRAIN;
        if held.len() >= room || (gang && !held.is_empty()) {
            return Err(format!(
                "{worker} is given {task} while it holds {} of {room}, such as {}",
                held.len(),
                held[0].task
            ));
        }
        if held.iter().all(|holding| holding.aborted.is_some()) {
            self.heard.insert(worker.clone(), now);
        }
        held.push(Holding { task: task.clone(), aborted: None });
        match copies < 2 && !twice {
            true => Ok(()),
            false => Err(format!("{worker} is given {task}, of which there are {copies} copies")),
        }
    }
}
