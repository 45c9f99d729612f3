//! A worker never holds more than its slots, nor a gang's rank beside anything else; a shard has two holders at
//! most.

use std::collections::BTreeMap;

use lethe_common::ids::{TaskId, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{Command, Event};

use crate::jobs::TRAIN;
use crate::workers::SimWorker;

pub struct Slots {
    abort_ms: u64,
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
    pub fn new(abort_ms: u64, workers: &BTreeMap<WorkerId, SimWorker>) -> Self {
        let slots = workers.iter().map(|(name, worker)| (name.clone(), worker.profile.slots as usize)).collect();
        Self { abort_ms, slots, holds: BTreeMap::new(), ended: Vec::new() }
    }

    pub fn begin(&mut self) {
        self.ended.clear();
    }

    pub fn new_leader(&mut self) {
        self.holds.clear();
    }

    pub fn heard(&mut self, event: &Event) {
        match event {
            Event::TaskCommitted { worker, task, .. } | Event::TaskFailed { worker, task, .. } => {
                if let Some(held) = self.holds.get_mut(worker) {
                    let ended = held.extract_if(.., |holding| holding.task == *task);
                    self.ended.extend(ended.map(|holding| holding.task));
                }
            }
            Event::WorkerJoined { worker, .. } | Event::WorkerLost { worker, .. } => {
                let ended = self.holds.remove(worker).into_iter().flatten();
                self.ended.extend(ended.map(|holding| holding.task));
            }
            Event::Submitted { .. } | Event::RerunRequested { .. } | Event::PauseRequested { .. } => {}
            Event::ResumeRequested { .. } | Event::CancelRequested { .. } | Event::WorkerDraining { .. } => {}
            Event::TaskProgressed { .. } | Event::ReduceDone { .. } | Event::ReduceFailed { .. } => {}
            Event::Stalled { .. } | Event::Tick => {}
        }
    }

    pub fn check_act(&mut self, now: Millis, command: &Command) -> Result<(), String> {
        match command {
            Command::StartMap(start) => self.take(now, &start.worker, &start.task),
            Command::StartGangMember(start) => self.take(now, &start.worker, &start.task),
            Command::Abort { worker, task, .. } => self.abort(now, worker, task),
            Command::Persist(_) | Command::StartReduce { .. } | Command::AbortReduce { .. } => Ok(()),
            Command::Acknowledge { .. } | Command::AuditEnded { .. } => Ok(()),
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
        let (abort_ms, room) = (self.abort_ms, self.slots[worker]);
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
        held.push(Holding { task: task.clone(), aborted: None });
        match copies < 2 && !twice {
            true => Ok(()),
            false => Err(format!("{worker} is given {task}, of which there are {copies} copies")),
        }
    }
}
