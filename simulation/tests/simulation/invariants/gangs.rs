//! A gang's size stays between its floor and its world size, its checkpoint only goes forward and is its current
//! leading rank's, and where it can run it does.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::blob::parse_attempt_path;
use lethe_common::ids::{Attempt, AuditId, TaskId, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{AuditState, Command, Event, GangStart, PhaseRecord, PhaseState, Record, RecordKey};

use super::{Records, Seen, audit, phase};
use crate::jobs::{TRAIN, gang_size};

#[derive(Default)]
pub struct Gangs {
    /// Rank 0 of each generation that was started and not told to stop.
    leading: BTreeMap<AuditId, TaskId>,
    /// Workers that take new work.
    joined: BTreeSet<WorkerId>,
    /// Since when each could run and does not.
    waiting: BTreeMap<AuditId, Millis>,
}

impl Gangs {
    pub fn heard(&mut self, event: &Event) {
        match event {
            Event::WorkerJoined { worker, .. } => drop(self.joined.insert(worker.clone())),
            Event::WorkerDraining { worker, .. } | Event::WorkerLost { worker, .. } => {
                self.joined.remove(worker);
            }
            Event::Submitted { .. } | Event::RerunRequested { .. } | Event::ControlRequested { .. } => {}
            Event::MarksMade { .. } | Event::TaskProgressed { .. } => {}
            Event::TaskCommitted { .. } | Event::TaskFailed { .. } | Event::GangCheckpointed { .. } => {}
            Event::GangProgressed { .. } => {}
            Event::ReduceDone { .. } | Event::ReduceFailed { .. } | Event::Stalled { .. } | Event::Tick => {}
        }
    }

    pub fn new_leader(&mut self) {
        self.leading.clear();
        self.joined.clear();
        self.waiting.clear();
    }

    pub fn check(&self, seen: &Seen<'_>) -> Result<(), String> {
        seen.changes().try_for_each(|(before, after)| match (before, after) {
            (Some(Record::Phase(_, _, before)), Record::Phase(id, _, after)) => {
                self.forward(id, before, after, ended(seen, id))
            }
            (_, Record::Audit(..) | Record::Phase(..) | Record::Segment(..)) => Ok(()),
        })
    }

    fn forward(&self, id: &AuditId, before: &PhaseRecord, after: &PhaseRecord, ended: bool) -> Result<(), String> {
        let over = ended || after.state != PhaseState::Running;
        match (&before.checkpoint, &after.checkpoint) {
            (_, Some(kept)) if over => Err(format!("step {} is kept after the end", kept.step)),
            (Some(kept), None) if !over => Err(format!("the checkpoint of step {} is lost", kept.step)),
            (Some(old), Some(new)) if old != new && old.step >= new.step => {
                Err(format!("it goes from step {} back to {}", old.step, new.step))
            }
            (old, Some(new)) if old.as_ref() != Some(new) => {
                let writer = parse_attempt_path(&new.blob.path).map(|(task, _)| task);
                match self.leading.get(id) == writer.as_ref() {
                    true => Ok(()),
                    false => Err(format!("{} is no checkpoint of {:?}", new.blob.path, self.leading.get(id))),
                }
            }
            (_, Some(_) | None) => Ok(()),
        }
    }

    /// All that one list starts.
    pub fn check_size(&self, stored: &Records, commands: &[Command]) -> Result<(), String> {
        let mut generations: BTreeMap<(&AuditId, Attempt), Vec<&GangStart>> = BTreeMap::new();
        for command in commands {
            if let Command::StartGangMember(start) = command {
                generations.entry((&start.task.audit, start.task.attempt)).or_default().push(start);
            }
        }
        generations.values().try_for_each(|starts| self.size(stored, starts))
    }

    fn size(&self, stored: &Records, starts: &[&GangStart]) -> Result<(), String> {
        let (id, size) = (&starts[0].task.audit, starts[0].world_size);
        let (floor, full) = gang_size(&audit(stored, id).ok_or("it is not stored")?.plan);
        let ranks: BTreeSet<u32> = starts.iter().map(|start| start.task.shard.0).collect();
        if !ranks.into_iter().eq(0..size) || starts.iter().any(|start| start.world_size != size) {
            return Err(format!("{id} starts {} members of {size} ranks", starts.len()));
        }
        if size < floor || size > full {
            return Err(format!("{id} has {size} ranks; expected {floor} to {full}"));
        }
        if size < full && self.joined.len() >= full as usize {
            return Err(format!("{id} has {size} of {full} ranks, though {} workers are joined", self.joined.len()));
        }
        Ok(())
    }

    pub fn check_act(&mut self, stored: &Records, command: &Command) -> Result<(), String> {
        match command {
            Command::StartGangMember(start) => {
                let task = &start.task;
                if task.shard.0 == 0 {
                    self.leading.insert(task.audit.clone(), task.clone());
                }
                let kept = phase(stored, &task.audit, task.phase).and_then(|record| record.checkpoint.clone());
                match kept == start.checkpoint {
                    true => Ok(()),
                    false => Err(format!("{task} begins with {:?}, not {kept:?}", start.checkpoint)),
                }
            }
            Command::Abort { task, .. } => {
                self.leading.retain(|_, leading| (&leading.audit, leading.attempt) != (&task.audit, task.attempt));
                Ok(())
            }
            Command::Persist(_) | Command::StartMap(_) | Command::StartReduce { .. } => Ok(()),
            Command::AbortReduce { .. } | Command::Acknowledge { .. } | Command::AuditEnded { .. } => Ok(()),
            Command::AcknowledgeCheckpoint { .. } => Ok(()),
        }
    }

    /// Nothing fails and nobody holds anything: what stands still then, stands still for good.
    pub fn check_calm(&mut self, stored: &Records, idle: bool, (now, limit_ms): (Millis, u64)) -> Result<(), String> {
        let can_run = |id: &AuditId| {
            audit(stored, id).is_some_and(|record| {
                let enough = self.joined.len() >= gang_size(&record.plan).0 as usize;
                idle && enough && record.paused.is_none() && record.state == AuditState::Running
            })
        };
        let trains = stored.iter().filter_map(|(key, record)| match (key, record) {
            (RecordKey::Phase(id, TRAIN), Record::Phase(_, _, record)) => {
                (record.state == PhaseState::Running && can_run(id)).then(|| id.clone())
            }
            _ => None,
        });
        let now_waiting: BTreeSet<AuditId> = trains.collect();
        self.waiting.retain(|id, _| now_waiting.contains(id));
        for id in now_waiting {
            let since = *self.waiting.entry(id.clone()).or_insert(now);
            if now.since_ms(since) > limit_ms {
                return Err(format!("the gang of {id} has waited since {since:?} for idle workers that are there"));
            }
        }
        Ok(())
    }
}

fn ended(seen: &Seen<'_>, id: &AuditId) -> bool {
    match seen.after(&RecordKey::Audit(id.clone())) {
        Some(Record::Audit(_, record)) => record.state != AuditState::Running,
        Some(Record::Phase(..) | Record::Segment(..)) | None => true,
    }
}
