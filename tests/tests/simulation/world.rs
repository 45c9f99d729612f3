//! The world: time, the network, the workers and the driver around one engine after another.
//!
//! It must never act on a command whose batch the store did not take: it is the driver's model.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, Term, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{Command, Engine, Event, Knobs, Record};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::faults::{FaultKind, Faults};
use crate::invariants::{Invariants, Seen, ends, rebuilt};
use crate::jobs::{Job, counts, outputs};
use crate::reducers;
use crate::store::{Outcome, Store};
use crate::workers::{Run, SimWorker};

const HEARTBEAT_MS: u64 = 100;
const ROUND_MS: u64 = 50;
const ROUNDS_WITH_FAULTS: u32 = 600;
/// Far more than any audit needs once nothing fails.
const ROUNDS_WITHOUT_FAULTS: u32 = 4000;

/// When something arrives, and in which order among what arrives then.
type Due = (Millis, u64);

pub struct World {
    rng: ChaCha8Rng,
    faults: Faults,
    knobs: Knobs,
    now: Millis,
    serial: u64,
    engine: Engine,
    store: Store,
    jobs: Vec<Job>,
    workers: BTreeMap<WorkerId, SimWorker>,
    to_engine: BTreeMap<Due, Event>,
    to_workers: BTreeMap<Due, (WorkerId, u64, Command)>,
    /// Sessions that are dead, though the coordinator has not noticed.
    unnoticed: BTreeMap<Due, WorkerId>,
    finished_ranks: BTreeMap<(AuditId, PhaseIndex, Attempt), BTreeSet<ShardId>>,
    invariants: Invariants,
    /// Every event, where somebody wants to read it.
    story: Option<Vec<String>>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let knobs = Knobs::from_heartbeat(HEARTBEAT_MS).expect("is ordered");
        let size = rng.random_range(1..=4);
        let workers = (0..size).map(|i| (WorkerId::new(&format!("w{i}")).expect("is valid"), SimWorker::default()));
        let jobs = (0..rng.random_range(1..=2)).map(|i| Job::draw(&mut rng, i, size)).collect();
        Self {
            faults: Faults::new(),
            now: Millis(1_000),
            serial: 0,
            engine: Engine::new(Term(1), knobs.clone()),
            invariants: Invariants::new(knobs.abort_ms),
            knobs,
            store: Store::default(),
            jobs,
            workers: workers.collect(),
            to_engine: BTreeMap::new(),
            to_workers: BTreeMap::new(),
            unnoticed: BTreeMap::new(),
            finished_ranks: BTreeMap::new(),
            story: None,
            rng,
        }
    }

    pub fn fired(&self) -> BTreeMap<FaultKind, u64> {
        self.faults.fired()
    }

    /// Keeps the story from here on.
    pub fn told(mut self) -> Self {
        self.story = Some(Vec::new());
        self
    }

    pub fn story(self) -> Vec<String> {
        self.story.unwrap_or_default()
    }

    pub fn run_with_faults(&mut self) {
        for _ in 0..ROUNDS_WITH_FAULTS {
            self.break_things();
            self.round();
        }
    }

    pub fn run_without_faults(&mut self) {
        self.faults.on = false;
        for _ in 0..ROUNDS_WITHOUT_FAULTS {
            self.round();
            if self.all_ended() {
                break;
            }
        }
        ends::check(&self.store.records, &self.jobs)
            .unwrap_or_else(|why| self.invariants.broken("every audit ends", &why));
        rebuilt::check(&self.engine, &self.store.records)
            .unwrap_or_else(|why| self.invariants.broken("rebuilt equals durable", &why));
    }

    fn all_ended(&self) -> bool {
        self.jobs.iter().all(|job| ends::has_ended(&self.store.records, &job.id))
    }

    fn round(&mut self) {
        self.now = self.now.plus_ms(ROUND_MS);
        self.clients();
        self.dial();
        self.deliver_to_workers();
        self.run_workers();
        self.deliver_to_engine();
        self.step(Event::Tick);
    }

    // ------------------------------------------------------------------ what fails

    fn break_things(&mut self) {
        let names: Vec<WorkerId> = self.workers.keys().cloned().collect();
        for name in names {
            if self.workers[&name].up && self.faults.strikes(&mut self.rng, FaultKind::WorkerCrash) {
                self.worker(&name).crash();
                let due = self.due(HEARTBEAT_MS * 8);
                self.unnoticed.insert(due, name);
            } else if self.workers[&name].session.is_some()
                && self.faults.strikes(&mut self.rng, FaultKind::SessionBreak)
            {
                self.worker(&name).session = None;
                self.step(Event::WorkerLost { worker: name, reason: "the stream closed".to_owned() });
            }
        }
        if self.faults.strikes(&mut self.rng, FaultKind::LeaderCrash) {
            self.rebuild();
        }
    }

    /// The next leader, from what the store holds. All sessions were the last one's.
    fn rebuild(&mut self) {
        let term = Term(self.engine.term().0 + 1);
        self.tell(|| format!("term {term} begins"));
        self.engine =
            Engine::restore(term, self.knobs.clone(), self.store.all()).expect("the engine wrote these records");
        rebuilt::check(&self.engine, &self.store.records)
            .unwrap_or_else(|why| self.invariants.broken("rebuilt equals durable", &why));
        self.workers.values_mut().for_each(|worker| worker.session = None);
        self.to_workers.clear();
        self.unnoticed.clear();
        self.invariants.new_leader();
    }

    // ------------------------------------------------------------------ who acts by himself

    /// Clients submit until the audit is there, and sometimes again; some give up and cancel.
    fn clients(&mut self) {
        for index in 0..self.jobs.len() {
            let job = self.jobs[index].clone();
            let there = self.engine.audits().any(|id| *id == job.id);
            if (!there && self.rng.random_bool(0.3)) || self.rng.random_bool(0.005) {
                let spec_json = format!("{{\"asked_at\": {}}}", self.now.0);
                self.step(Event::Submitted { audit: job.id.clone(), plan: job.plan.clone(), spec_json });
            }
            if there && self.faults.on && self.rng.random_bool(0.0002) {
                self.jobs[index].cancelled = true;
                self.step(Event::CancelRequested { audit: job.id });
            }
        }
    }

    fn dial(&mut self) {
        let names: Vec<WorkerId> = self.workers.keys().cloned().collect();
        for name in names {
            let wakes = self.rng.random_bool(0.1);
            let number = self.next_serial();
            let worker = self.worker(&name);
            worker.up |= wakes;
            if wakes && worker.session.is_none() {
                worker.session = Some(number);
                self.unnoticed.retain(|_, lost| *lost != name);
                self.step(Event::WorkerJoined { worker: name });
            }
        }
        while let Some((_, worker)) = pop_due(&mut self.unnoticed, self.now) {
            self.step(Event::WorkerLost { worker, reason: "no heartbeat".to_owned() });
        }
    }

    // ------------------------------------------------------------------ the network

    fn deliver_to_workers(&mut self) {
        while let Some((_, (name, session, command))) = pop_due(&mut self.to_workers, self.now) {
            if self.workers[&name].session == Some(session) {
                self.receive(&name, command);
            }
        }
    }

    fn deliver_to_engine(&mut self) {
        while let Some((_, event)) = pop_due(&mut self.to_engine, self.now) {
            self.step(event);
        }
    }

    /// Any delay, so any order; some arrive twice.
    fn send(&mut self, event: Event) {
        let due = self.due(HEARTBEAT_MS * 3);
        if self.faults.strikes(&mut self.rng, FaultKind::Duplicate) {
            let again = self.due(HEARTBEAT_MS * 60);
            self.to_engine.insert(again, event.clone());
        }
        self.to_engine.insert(due, event);
    }

    /// A session keeps its order, so that later ones are not overtaken.
    fn send_to(&mut self, name: &WorkerId, command: Command) {
        if let Some(session) = self.workers[name].session {
            let after = self.to_workers.iter().filter(|(_, (to, _, _))| to == name).map(|(due, _)| due.0).max();
            let drawn = self.due(HEARTBEAT_MS * 2);
            let due = (drawn.0.max(after.unwrap_or_default()), drawn.1);
            self.to_workers.insert(due, (name.clone(), session, command));
        }
    }

    // ------------------------------------------------------------------ workers

    fn receive(&mut self, name: &WorkerId, command: Command) {
        let began = self.now;
        let run = |task, world_size, ends| Run { task, world_size, began, ends, hangs: false };
        match command {
            Command::StartMap(start) => {
                let ends = self.due(HEARTBEAT_MS * 6).0;
                self.worker(name).running = Some(run(start.task, None, ends));
            }
            Command::StartGangMember(start) => {
                let ends = self.due(HEARTBEAT_MS * 20).0;
                self.worker(name).running = Some(run(start.task, Some(start.world_size), ends));
            }
            Command::Abort { task, .. } => {
                let deaf = self.faults.strikes(&mut self.rng, FaultKind::AbortIgnored);
                if !deaf && self.workers[name].is_running(&task) {
                    self.worker(name).running = None;
                    self.send(Event::TaskFailed { worker: name.clone(), task, fault: Fault::retryable("aborted") });
                }
            }
            Command::Acknowledge { .. } => {}
            Command::Persist(_)
            | Command::StartReduce { .. }
            | Command::AbortReduce { .. }
            | Command::AuditEnded { .. } => {
                unreachable!("is not a worker's")
            }
        }
    }

    fn run_workers(&mut self) {
        let names: Vec<WorkerId> = self.workers.keys().cloned().collect();
        for name in names {
            let Some(run) = self.workers[&name].running.clone().filter(|run| !run.hangs) else { continue };
            if self.now < run.ends {
                self.send(Event::TaskProgressed { worker: name, task: run.task });
            } else {
                self.finish(name, run);
            }
        }
    }

    fn finish(&mut self, name: WorkerId, run: Run) {
        let key = (run.task.audit.clone(), run.task.phase, run.task.shard);
        if self.faults.strikes_task(&mut self.rng, FaultKind::TaskHang, key.clone()) {
            self.worker(&name).running = Some(Run { hangs: true, ..run });
        } else if self.faults.strikes_task(&mut self.rng, FaultKind::TaskFault, key) {
            self.give_up(name, run, "out of memory");
        } else if self.peers_are_there(&run) {
            self.worker(&name).running = None;
            self.finished_ranks.entry(run.gang()).or_default().insert(run.task.shard);
            let (outputs, counts) = (outputs(&run.task), counts(&run.task));
            self.send(Event::TaskCommitted { worker: name, task: run.task, outputs, counts });
        } else if self.now.since_ms(run.began) > self.knobs.gang_timeout_ms {
            self.give_up(name, run, "a peer did not answer");
        }
    }

    fn give_up(&mut self, name: WorkerId, run: Run, why: &str) {
        self.worker(&name).running = None;
        self.send(Event::TaskFailed { worker: name, task: run.task, fault: Fault::retryable(why) });
    }

    /// A gang's collectives need every rank, up to the end of each.
    fn peers_are_there(&self, run: &Run) -> bool {
        let Some(world_size) = run.world_size else { return true };
        let alive = self.workers.values().filter_map(|w| w.running.as_ref());
        let running = alive.filter(|other| other.gang() == run.gang() && !other.hangs).count();
        let finished = self.finished_ranks.get(&run.gang()).map_or(0, BTreeSet::len);
        running + finished >= world_size as usize
    }

    // ------------------------------------------------------------------ the driver

    fn step(&mut self, event: Event) {
        self.invariants.heard(&event);
        self.tell(|| format!("{event:?}"));
        let commands = self.engine.step(self.now, event);
        let seen = Seen { before: &self.store.records, commands: &commands };
        self.invariants.check_list(&seen);
        let batch: &[Record] = match commands.first() {
            Some(Command::Persist(batch)) => batch,
            _ => &[],
        };
        if !batch.is_empty() && self.store.commit(batch, &mut self.rng, &mut self.faults) == Outcome::Rebuild {
            return self.rebuild();
        }
        self.invariants.check_acts(self.now, &self.store.records, &commands);
        if self.rng.random_bool(0.02) {
            rebuilt::check(&self.engine, &self.store.records)
                .unwrap_or_else(|why| self.invariants.broken("rebuilt equals durable", &why));
        }
        commands.into_iter().for_each(|command| self.act(command));
    }

    fn act(&mut self, command: Command) {
        let worker = match &command {
            Command::StartMap(start) => start.worker.clone(),
            Command::StartGangMember(start) => start.worker.clone(),
            Command::Abort { worker, .. } | Command::Acknowledge { worker, .. } => worker.clone(),
            Command::StartReduce { audit, phase, attempt, .. } => return self.reduce(audit.clone(), *phase, *attempt),
            Command::Persist(_) | Command::AbortReduce { .. } | Command::AuditEnded { .. } => return,
        };
        self.send_to(&worker, command);
    }

    fn reduce(&mut self, audit: AuditId, phase: PhaseIndex, attempt: Attempt) {
        let job = self.jobs.iter().find(|job| job.id == audit).expect("was submitted").clone();
        let task = (audit.clone(), phase, ShardId(0));
        let fails = self.faults.strikes_task(&mut self.rng, FaultKind::ReduceFault, task);
        let event =
            if fails { reducers::failed(audit, phase, attempt) } else { reducers::succeeded(&job, phase, attempt) };
        self.send(event);
    }

    // ------------------------------------------------------------------ small change

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{} ms: {}", self.now.0, line()));
        }
    }

    fn worker(&mut self, name: &WorkerId) -> &mut SimWorker {
        self.workers.get_mut(name).expect("workers are never removed")
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn due(&mut self, within_ms: u64) -> Due {
        (self.now.plus_ms(self.rng.random_range(1..=within_ms)), self.next_serial())
    }
}

fn pop_due<T>(queue: &mut BTreeMap<Due, T>, now: Millis) -> Option<(Due, T)> {
    let first = queue.first_entry().filter(|entry| entry.key().0 <= now)?;
    Some(first.remove_entry())
}
