//! What workers do with what they are sent.
//!
//! It must never look at the engine or the store.

use lethe_common::blob::Digest;
use lethe_common::fault::Fault;
use lethe_common::ids::WorkerId;
use lethe_engine::{Command, Event, GangPlace};
use rand::RngExt;

use crate::faults::FaultKind;
use crate::jobs::{Poison, SCORE, TRAIN, checkpoint, counts, outputs};
use crate::workers::Run;
use crate::world::{HEARTBEAT_MS, World, pop_due};

impl World {
    pub fn deliver_to_workers(&mut self) {
        while let Some((_, (name, session, command))) = pop_due(&mut self.to_workers, self.now) {
            if self.workers[&name].session == Some(session) {
                self.receive(&name, command);
            }
        }
    }

    /// Any delay, so any order; some arrive twice.
    pub fn send(&mut self, event: Event) {
        let due = self.due(HEARTBEAT_MS * 3);
        if self.faults.strikes(&mut self.rng, FaultKind::Duplicate) {
            let again = self.due(HEARTBEAT_MS * 60);
            self.to_engine.insert(again, event.clone());
        }
        self.to_engine.insert(due, event);
    }

    /// A session keeps its order, so that later ones are not overtaken.
    pub fn send_to(&mut self, name: &WorkerId, command: Command) {
        let Some(session) = self.attached.get(name).copied() else { return };
        let after = self.to_workers.iter().filter(|(_, (to, _, _))| to == name).map(|(due, _)| due.0).max();
        let drawn = self.due(HEARTBEAT_MS * 2);
        let due = (drawn.0.max(after.unwrap_or_default()), drawn.1);
        self.to_workers.insert(due, (name.clone(), session, command));
    }

    fn receive(&mut self, name: &WorkerId, command: Command) {
        match command {
            Command::StartMap(start) => {
                let takes_ms = self.rng.random_range(1..=HEARTBEAT_MS * 6);
                let (task, batch_halvings) = (start.task, start.batch_halvings);
                self.queue(name, Run::new(task, None, batch_halvings, takes_ms));
            }
            Command::StartGangMember(start) => {
                let takes_ms = self.rng.random_range(1..=HEARTBEAT_MS * 20);
                let step = start.checkpoint.map_or(0, |checkpoint| checkpoint.step);
                let run = Run::new(start.task, Some(start.world_size), 0, takes_ms);
                self.queue(name, Run { step, ..run });
            }
            Command::Abort { task, .. } => self.abort(name, &task),
            Command::Acknowledge { .. } | Command::AcknowledgeCheckpoint { .. } => {}
            Command::Persist(_)
            | Command::StartReduce { .. }
            | Command::AbortReduce { .. }
            | Command::AuditEnded { .. } => unreachable!("is not a worker's"),
        }
    }

    fn queue(&mut self, name: &WorkerId, run: Run) {
        match self.workers[name].draining {
            true => self.fail(name, &run, Fault::handed_back("the worker drains")),
            false => self.worker(name).queue.push_back(run),
        }
    }

    fn abort(&mut self, name: &WorkerId, task: &lethe_common::ids::TaskId) {
        let at = self.workers[name].queue.iter().position(|run| run.task == *task);
        let Some(at) = at else { return };
        if self.faults.strikes(&mut self.rng, FaultKind::AbortIgnored) {
            let run = &mut self.worker(name).queue[at];
            (run.hangs, run.deaf) = (false, true);
            return;
        }
        let run = self.worker(name).queue.remove(at).expect("was found");
        self.fail(name, &run, Fault::handed_back("aborted"));
    }

    fn fail(&mut self, name: &WorkerId, run: &Run, fault: Fault) {
        self.send(Event::TaskFailed { worker: name.clone(), task: run.task.clone(), fault });
    }

    pub fn run_workers(&mut self) {
        let names: Vec<WorkerId> = self.workers.keys().cloned().collect();
        for name in names {
            if self.workers[&name].draining {
                self.drain(&name);
            }
            let now = self.now;
            if let Some(front) = self.worker(&name).queue.front_mut() {
                front.began.get_or_insert(now);
            }
            let Some(run) = self.workers[&name].front().filter(|run| !run.hangs).cloned() else { continue };
            let began = run.began.expect("it is first");
            if now.since_ms(began) < run.takes_ms {
                self.write_checkpoint(&name, &run);
                self.tell_progress(name, &run);
            } else {
                self.finish(&name, run);
            }
        }
    }

    fn tell_progress(&mut self, worker: WorkerId, run: &Run) {
        let (task, call) = (run.task.clone(), "all_reduce".to_owned());
        let place = GangPlace { step: run.step, call, call_number: self.rng.random_range(0..9), waits: true };
        self.send(match run.world_size {
            Some(_) => Event::GangProgressed { worker, task, place },
            None => Event::TaskProgressed { worker, task },
        });
    }

    /// Any rank may think it leads; an old one goes on until it is told.
    fn write_checkpoint(&mut self, name: &WorkerId, run: &Run) {
        if run.world_size.is_none() || !self.rng.random_bool(0.1) {
            return;
        }
        let step = run.step + self.rng.random_range(1..=5);
        self.worker(name).queue[0].step = step;
        let mut checkpoint = checkpoint(&run.task, step);
        if self.faults.strikes(&mut self.rng, FaultKind::CheckpointElsewhere) {
            checkpoint.blob.path = "elsewhere/checkpoint".to_owned();
        }
        self.send(Event::GangCheckpointed { worker: name.clone(), task: run.task.clone(), checkpoint });
    }

    /// What waits or hangs is handed back at once, what runs perhaps; then it leaves.
    fn drain(&mut self, name: &WorkerId) {
        let all = std::mem::take(&mut self.worker(name).queue);
        for (at, run) in all.into_iter().enumerate() {
            if at == 0 && !run.hangs && !self.rng.random_bool(0.1) {
                self.worker(name).queue.push_back(run);
            } else {
                self.fail(name, &run, Fault::handed_back("the worker drains"));
            }
        }
        if self.workers[name].queue.is_empty() {
            self.worker(name).crash();
            let due = self.due(HEARTBEAT_MS * 4);
            self.unnoticed.insert(due, name.clone());
        }
    }

    fn finish(&mut self, name: &WorkerId, run: Run) {
        let key = run.key();
        let memory = self.workers[name].memory;
        if let Some(poison) = self.poison(&run) {
            self.poisoned(name, run, poison);
        } else if run.world_size.is_none() && run.batch() > memory {
            self.faults.note(FaultKind::OutOfMemory);
            self.give_up(name, &run, Fault::out_of_memory("the device is full"));
        } else if !run.deaf && self.faults.strikes_task(&mut self.rng, FaultKind::TaskHang, &key) {
            self.worker(name).queue[0].hangs = true;
        } else if self.faults.strikes_task(&mut self.rng, FaultKind::TaskFault, &key) {
            self.give_up(name, &run, Fault::retryable("no such device"));
        // A gang's is a strike like any other fault, which TaskFault brings within the limits.
        } else if run.world_size.is_none() && self.faults.strikes(&mut self.rng, FaultKind::StorageGone) {
            self.give_up(name, &run, Fault::storage("the disk is full"));
        } else if self.faults.strikes(&mut self.rng, FaultKind::TaskFatal) {
            self.job_of(&run).fatal = true;
            self.give_up(name, &run, Fault::fatal("fatal: shapes differ"));
        } else if self.peers_are_there(&run) {
            self.commit(name, run);
        } else if self.now.since_ms(run.began.expect("it is first")) > self.knobs.gang_timeout_ms {
            self.give_up(name, &run, Fault::retryable("a peer did not answer"));
        }
    }

    fn poison(&mut self, run: &Run) -> Option<Poison> {
        if run.task.phase != SCORE {
            return None;
        }
        let shard = run.task.shard;
        self.job_of(run).poison.get(&shard).copied()
    }

    fn poisoned(&mut self, name: &WorkerId, run: Run, poison: Poison) {
        match poison {
            Poison::Fails => {
                self.faults.note(FaultKind::PoisonFails);
                self.give_up(name, &run, Fault::retryable("it cannot be decoded"));
            }
            Poison::Kills => {
                self.faults.note(FaultKind::PoisonKills);
                self.crash(name);
            }
            Poison::Bad => {
                self.faults.note(FaultKind::BadShard);
                self.give_up(name, &run, Fault::bad_shard("it changed since planning"));
            }
        }
    }

    fn commit(&mut self, name: &WorkerId, run: Run) {
        self.worker(name).queue.pop_front();
        self.finished_ranks.entry(run.gang()).or_default().insert(run.task.shard);
        let (mut outputs, counts) = (outputs(&run.task, &self.workers[name].profile.kind), counts(&run.task));
        let (phase, shard) = (run.task.phase, run.task.shard);
        let checked = phase != TRAIN && self.job_of(&run).is_checked(phase, shard);
        if self.workers[name].lies && checked && self.faults.strikes(&mut self.rng, FaultKind::Lie) {
            self.job_of(&run).lied.insert((phase, shard));
            outputs[0].blob.digest = Digest::of(format!("a lie of {name}").as_bytes());
        } else if self.faults.strikes_task(&mut self.rng, FaultKind::OutputsElsewhere, &run.key()) {
            outputs[0].blob.path = "elsewhere/out".to_owned();
        }
        self.send(Event::TaskCommitted { worker: name.clone(), task: run.task, outputs, counts });
    }

    fn give_up(&mut self, name: &WorkerId, run: &Run, fault: Fault) {
        self.worker(name).queue.pop_front();
        self.fail(name, run, fault);
    }

    fn job_of(&mut self, run: &Run) -> &mut crate::jobs::Job {
        self.jobs.iter_mut().find(|job| job.id == run.task.audit).expect("was submitted")
    }

    /// A gang's collectives need every rank, up to the end of each.
    fn peers_are_there(&self, run: &Run) -> bool {
        let Some(world_size) = run.world_size else { return true };
        let alive = self.workers.values().filter_map(|worker| worker.front());
        let running = alive.filter(|other| other.gang() == run.gang() && !other.hangs).count();
        let finished = self.finished_ranks.get(&run.gang()).map_or(0, std::collections::BTreeSet::len);
        running + finished >= world_size as usize
    }
}
