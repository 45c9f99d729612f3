//! The world: time, and what fails in it, around one engine after another.
//!
//! It must never do what a real one cannot: it breaks, delays and repeats, and forges nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, Term, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{Command, Engine, Event, Knobs};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::faults::{FaultKind, Faults};
use crate::invariants::{Invariants, ends, rebuilt};
use crate::jobs::Job;
use crate::store::Store;
use crate::workers::SimWorker;

pub const HEARTBEAT_MS: u64 = 100;
const ROUND_MS: u64 = 50;
const ROUNDS_WITH_FAULTS: u32 = 400;
/// Far more than any audit needs once nothing fails.
const ROUNDS_WITHOUT_FAULTS: u32 = 6000;
/// Ended audits are forgotten after this in some worlds.
const SHORT_RETENTION_MS: u64 = HEARTBEAT_MS * 50;

/// When something arrives, and in which order among what arrives then.
pub type Due = (Millis, u64);

pub struct World {
    pub rng: ChaCha8Rng,
    pub faults: Faults,
    pub knobs: Knobs,
    pub now: Millis,
    serial: u64,
    pub engine: Engine,
    pub store: Store,
    pub jobs: Vec<Job>,
    pub workers: BTreeMap<WorkerId, SimWorker>,
    /// The session that the leader knows each worker by.
    pub attached: BTreeMap<WorkerId, u64>,
    /// What reached the leader in this round, in order; a session's own events with its number.
    pub inbox: VecDeque<(Event, u64)>,
    pub to_engine: BTreeMap<Due, Event>,
    pub to_workers: BTreeMap<Due, (WorkerId, u64, Command)>,
    /// Sessions that are dead, though the coordinator has not noticed.
    pub unnoticed: BTreeMap<Due, WorkerId>,
    pub finished_ranks: BTreeMap<(AuditId, PhaseIndex, Attempt), BTreeSet<ShardId>>,
    pub invariants: Invariants,
    /// Every event, where somebody wants to read it.
    story: Option<Vec<String>>,
    aloud: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let knobs = knobs(&mut rng);
        let many = crate::number("LETHE_SIM_WORKERS").map(|many| u32::try_from(many).expect("is a number of workers"));
        let size = many.unwrap_or_else(|| rng.random_range(1..=5));
        let name = |i: u32| WorkerId::new(&format!("w{i}")).expect("is valid");
        let mut workers: BTreeMap<_, _> = (0..size).map(|i| (name(i), SimWorker::draw(&mut rng))).collect();
        let liar = size > 1 && rng.random_bool(0.3);
        workers.values_mut().take(usize::from(liar)).for_each(|worker| worker.lies = true);
        let mut jobs: Vec<Job> = (0..rng.random_range(1..=4)).map(|i| Job::draw(&mut rng, i, size, liar)).collect();
        if many.is_some() {
            jobs[0].take_all(size);
        }
        Self {
            faults: Faults::new(),
            now: Millis(1_000),
            serial: 0,
            engine: Engine::new(Term(1), knobs.clone()),
            invariants: Invariants::new(&knobs, &workers),
            knobs,
            store: Store::default(),
            jobs,
            workers,
            attached: BTreeMap::new(),
            inbox: VecDeque::new(),
            to_engine: BTreeMap::new(),
            to_workers: BTreeMap::new(),
            unnoticed: BTreeMap::new(),
            finished_ranks: BTreeMap::new(),
            story: None,
            aloud: std::env::var_os("LETHE_SIM_ALOUD").is_some(),
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

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.aloud {
            return eprintln!("{} ms: {}", self.now.0, line());
        }
        if let Some(story) = &mut self.story {
            story.push(format!("{} ms: {}", self.now.0, line()));
        }
    }

    pub fn run_with_faults(&mut self) {
        for _ in 0..ROUNDS_WITH_FAULTS {
            self.break_things();
            self.round();
        }
    }

    pub fn run_without_faults(&mut self) {
        self.faults.on = false;
        self.resume_all();
        self.leave_for_good();
        for _ in 0..ROUNDS_WITHOUT_FAULTS {
            self.round();
            self.invariants.check_calm(self.now, &self.store.records);
            if self.all_ended() {
                break;
            }
        }
        self.excuse();
        ends::check(&self.store.ever(), &self.jobs)
            .unwrap_or_else(|why| self.invariants.broken("every audit ends as if nothing had failed", &why));
        self.compare();
    }

    /// In some worlds only as many workers are left as every gang needs at least.
    fn leave_for_good(&mut self) {
        let liar = self.workers.values().any(|worker| worker.lies);
        if liar || !self.rng.random_bool(0.5) {
            return; // a lie is only found where enough others are
        }
        let left = self.jobs.iter().map(Job::floor).max().unwrap_or(1) as usize;
        let gone: Vec<WorkerId> = self.workers.keys().skip(left).cloned().collect();
        for name in gone {
            self.crash(&name);
            self.worker(&name).away_until = Millis(u64::MAX);
        }
    }

    /// Where one result had to do, a lie could count; what a re-run takes over, it takes over with its lies.
    fn excuse(&mut self) {
        let alone = self.invariants.opinions.alone.iter().cloned();
        let lied =
            |job: &Job| job.lied.iter().map(|(phase, shard)| (job.id.clone(), *phase, *shard)).collect::<Vec<_>>();
        let (alone, lied): (Vec<_>, Vec<_>) = (alone.collect(), self.jobs.iter().flat_map(lied).collect());
        for job in &mut self.jobs {
            let own = |all: &[(AuditId, PhaseIndex, ShardId)]| -> Vec<(PhaseIndex, ShardId)> {
                let owned = all.iter().filter(|(id, phase, _)| job.owner(*phase) == id);
                owned.map(|(_, phase, shard)| (*phase, *shard)).collect()
            };
            let (alone, lied) = (own(&alone), own(&lied));
            job.alone.extend(alone);
            job.lied.extend(lied);
        }
    }

    fn all_ended(&self) -> bool {
        let ended = |id: &AuditId| ends::has_ended(&self.store.records, id) || ends::has_ended(&self.store.archive, id);
        self.jobs.iter().all(|job| ended(&job.id))
    }

    fn round(&mut self) {
        self.now = self.now.plus_ms(ROUND_MS);
        self.clients();
        self.dial();
        self.deliver_to_workers();
        self.run_workers();
        while let Some((_, event)) = pop_due(&mut self.to_engine, self.now) {
            self.inbox.push_back((event, 0));
        }
        self.inbox.push_back((Event::Tick, 0));
        self.drive();
    }

    fn break_things(&mut self) {
        let names: Vec<WorkerId> = self.workers.keys().cloned().collect();
        for name in names {
            self.break_worker(name);
        }
        if self.faults.strikes(&mut self.rng, FaultKind::LeaderCrash) {
            self.rebuild();
        }
        if self.faults.strikes(&mut self.rng, FaultKind::Stall) {
            let ms = self.rng.random_range(HEARTBEAT_MS..HEARTBEAT_MS * 40);
            self.now = self.now.plus_ms(ms);
            self.inbox.push_back((Event::Stalled { ms }, 0));
        }
    }

    fn break_worker(&mut self, name: WorkerId) {
        let worker = &self.workers[&name];
        let (up, session, draining) = (worker.up, worker.session, worker.draining);
        if up && self.worker_strikes(&name, FaultKind::WorkerCrash) {
            self.crash(&name);
        } else if up && self.worker_strikes(&name, FaultKind::Absence) {
            self.crash(&name);
            let away_ms = self.rng.random_range(HEARTBEAT_MS..HEARTBEAT_MS * 100);
            self.worker(&name).away_until = self.now.plus_ms(away_ms);
        } else if let (Some(session), true) = (session, self.worker_strikes(&name, FaultKind::SessionBreak)) {
            self.worker(&name).session = None;
            self.inbox.push_back((Event::WorkerLost { worker: name, reason: "the stream closed".to_owned() }, session));
        } else if let (Some(session), false) = (session, draining)
            && self.faults.strikes(&mut self.rng, FaultKind::Drain)
        {
            self.worker(&name).draining = true;
            self.inbox.push_back((Event::WorkerDraining { worker: name, reason: "SIGTERM".to_owned() }, session));
        }
    }

    /// What it runs pays for it.
    fn worker_strikes(&mut self, name: &WorkerId, kind: FaultKind) -> bool {
        match self.workers[name].front().map(crate::workers::Run::key) {
            Some(task) => self.faults.strikes_task(&mut self.rng, kind, &task),
            None => self.faults.strikes(&mut self.rng, kind),
        }
    }

    pub fn crash(&mut self, name: &WorkerId) {
        self.worker(name).crash();
        let due = self.due(HEARTBEAT_MS * 8);
        self.unnoticed.insert(due, name.clone());
    }

    /// The next leader, from what the store holds. All sessions were the last one's.
    pub fn rebuild(&mut self) {
        let term = Term(self.engine.term().0 + 1);
        self.tell(|| format!("term {term} begins"));
        self.engine =
            Engine::restore(term, self.knobs.clone(), self.store.all()).expect("the engine wrote these records");
        self.compare();
        self.workers.values_mut().for_each(|worker| worker.session = None);
        self.attached.clear();
        self.to_workers.clear();
        self.unnoticed.clear();
        self.inbox.retain(|(_, session)| *session == 0);
        self.invariants.new_leader();
    }

    pub fn compare(&self) {
        rebuilt::check(&self.engine, &self.store.records)
            .unwrap_or_else(|why| self.invariants.broken("rebuilt equals durable", &why));
    }

    fn dial(&mut self) {
        let names: Vec<WorkerId> = self.workers.keys().cloned().collect();
        for name in names {
            let (wakes, forgets) = (self.rng.random_bool(0.1), self.rng.random_bool(0.5));
            let (number, now) = (self.next_serial(), self.now);
            let worker = self.worker(&name);
            let wakes = wakes && worker.away_until <= now;
            worker.up |= wakes;
            if wakes && worker.session.is_none() {
                worker.session = Some(number);
                worker.draining = false;
                worker.rejoin(forgets);
                let profile = worker.profile.clone();
                self.unnoticed.retain(|_, lost| *lost != name);
                self.inbox.push_back((Event::WorkerJoined { worker: name, profile }, number));
            }
        }
        while let Some((_, worker)) = pop_due(&mut self.unnoticed, self.now) {
            self.inbox.push_back((Event::WorkerLost { worker, reason: "no heartbeat".to_owned() }, u64::MAX));
        }
    }

    pub fn worker(&mut self, name: &WorkerId) -> &mut SimWorker {
        self.workers.get_mut(name).expect("workers are never removed")
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub fn due(&mut self, within_ms: u64) -> Due {
        (self.now.plus_ms(self.rng.random_range(1..=within_ms)), self.next_serial())
    }
}

fn knobs(rng: &mut ChaCha8Rng) -> Knobs {
    let knobs = Knobs::from_heartbeat(HEARTBEAT_MS).expect("is ordered");
    let retention_ms = if rng.random_bool(0.3) { SHORT_RETENTION_MS } else { knobs.retention_ms };
    let max_running_per_submitter = if rng.random_bool(0.3) { 1 } else { 4 };
    let max_running = if rng.random_bool(0.2) { 1 } else { 64 };
    Knobs { max_losses: 7, retention_ms, max_running_per_submitter, max_running, ..knobs }
}

pub fn pop_due<T>(queue: &mut BTreeMap<Due, T>, now: Millis) -> Option<(Due, T)> {
    let first = queue.first_entry().filter(|entry| entry.key().0 <= now)?;
    Some(first.remove_entry())
}
