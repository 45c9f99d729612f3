//! An engine with a clock to turn and short words for what the tests say often.
//!
//! It must never decide what is expected.

use lethe_common::blob::{BlobRef, Digest, NamedBlob, attempt_path};
use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, AuditId, Generation, PhaseIndex, ShardId, TaskId, Term, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{
    AuditRecord, AuditState, Command, CommitOutcome, Counts, Engine, Event, GangStart, Knobs, MapStart, Outline,
    Output, PageRecord, PhaseKind, PhaseRecord, PhaseSpec, PhaseState, Plan, Record, TaskResult,
};

pub struct Bench {
    pub engine: Engine,
    pub knobs: Knobs,
    pub now: Millis,
}

impl Bench {
    pub fn new() -> Self {
        let knobs = Knobs::from_heartbeat(10).expect("is ordered");
        Self { engine: Engine::new(Term(1), knobs.clone()), knobs, now: Millis(0) }
    }

    pub fn with_workers(count: u32) -> Self {
        let mut bench = Self::new();
        (0..count).for_each(|i| assert_eq!(bench.join(i), vec![]));
        bench
    }

    pub fn step(&mut self, event: Event) -> Vec<Command> {
        self.engine.step(self.now, event)
    }

    pub fn tick_after(&mut self, ms: u64) -> Vec<Command> {
        self.now = self.now.plus_ms(ms);
        self.step(Event::Tick)
    }

    pub fn submit(&mut self, phases: Vec<PhaseSpec>) -> Vec<Command> {
        self.step(Event::Submitted { audit: audit(), plan: Plan { phases }, spec_json: "{}".to_owned() })
    }

    /// Submits, and ends the first phase, a reduce, with an outline of so many shards.
    pub fn outlined(&mut self, phases: Vec<PhaseSpec>, shards: u32) -> Vec<Command> {
        self.submit(phases);
        self.reduce_done(0, 0, Some(Outline { shards, ..Outline::default() }))
    }

    pub fn reduce_done(&mut self, phase: u32, counter: u64, outline: Option<Outline>) -> Vec<Command> {
        let attempt = Attempt { term: self.engine.term(), counter };
        self.step(Event::ReduceDone { audit: audit(), phase: PhaseIndex(phase), attempt, outputs: vec![], outline })
    }

    pub fn reduce_failed(&mut self, phase: u32, counter: u64, fault: Fault) -> Vec<Command> {
        let attempt = Attempt { term: self.engine.term(), counter };
        self.step(Event::ReduceFailed { audit: audit(), phase: PhaseIndex(phase), attempt, fault })
    }

    pub fn join(&mut self, index: u32) -> Vec<Command> {
        self.step(Event::WorkerJoined { worker: worker(index) })
    }

    pub fn lose(&mut self, index: u32) -> Vec<Command> {
        self.step(Event::WorkerLost { worker: worker(index), reason: "unplugged".to_owned() })
    }

    pub fn commit(&mut self, index: u32, task: TaskId) -> Vec<Command> {
        let outputs = outputs(&task);
        self.step(Event::TaskCommitted { worker: worker(index), task, outputs, counts: COUNTS })
    }

    pub fn fail(&mut self, index: u32, task: TaskId, fault: Fault) -> Vec<Command> {
        self.step(Event::TaskFailed { worker: worker(index), task, fault })
    }

    /// The next leader, from what this one stored.
    pub fn restore(&mut self) {
        let term = Term(self.engine.term().0 + 1);
        self.engine = Engine::restore(term, self.knobs.clone(), self.engine.durable()).expect("fits together");
    }

    pub fn phase(&self, index: u32) -> PhaseRecord {
        let found = self.engine.durable().into_iter().find_map(|record| match record {
            Record::Phase(_, phase, record) if phase == PhaseIndex(index) => Some(record),
            Record::Phase(..) | Record::Audit(..) | Record::Page(..) => None,
        });
        found.expect("the plan has that phase")
    }
}

pub const COUNTS: Counts = Counts { read: 3, scored: 2, failed: 1 };

pub fn audit() -> AuditId {
    AuditId::new("a").expect("is valid")
}

pub fn worker(index: u32) -> WorkerId {
    WorkerId::new(&format!("w{index}")).expect("is valid")
}

/// A try of the first term.
pub fn task(phase: u32, shard: u32, counter: u64) -> TaskId {
    let attempt = Attempt { term: Term(1), counter };
    TaskId { audit: audit(), phase: PhaseIndex(phase), shard: ShardId(shard), attempt }
}

pub fn outputs(task: &TaskId) -> Vec<NamedBlob> {
    let blob = BlobRef { path: attempt_path(task, "out"), size_bytes: 1, digest: Digest([7; 32]) };
    vec![NamedBlob { name: "out".to_owned(), blob }]
}

pub fn reduce(name: &str) -> PhaseSpec {
    PhaseSpec { name: name.to_owned(), kind: PhaseKind::Reduce { program: "fold".to_owned() }, inputs: vec![] }
}

pub fn map(name: &str) -> PhaseSpec {
    PhaseSpec { name: name.to_owned(), kind: PhaseKind::Map { program: "score".to_owned() }, inputs: vec![] }
}

pub fn gang(name: &str, world_size: u32) -> PhaseSpec {
    let kind = PhaseKind::Gang { program: "train".to_owned(), world_size };
    PhaseSpec { name: name.to_owned(), kind, inputs: vec![] }
}

pub fn waiting() -> PhaseRecord {
    PhaseRecord { state: PhaseState::Waiting, started: None, generation: Generation(0), retries: 0, outputs: vec![] }
}

pub fn running() -> PhaseRecord {
    PhaseRecord { state: PhaseState::Running, started: Some(Millis(0)), ..waiting() }
}

pub fn done() -> PhaseRecord {
    PhaseRecord { state: PhaseState::Done { at: Millis(0) }, ..running() }
}

pub fn audit_record(phases: Vec<PhaseSpec>, state: AuditState, outline: Option<Outline>) -> Record {
    let record =
        AuditRecord { plan: Plan { phases }, spec_json: "{}".to_owned(), submitted: Millis(0), state, outline };
    Record::Audit(audit(), record)
}

pub fn phase_record(index: u32, record: PhaseRecord) -> Record {
    Record::Phase(audit(), PhaseIndex(index), record)
}

pub fn page_record(phase: u32, page: u32, tasks: &[TaskId]) -> Record {
    let result = |task: &TaskId| (task.shard, TaskResult { outputs: outputs(task), counts: COUNTS });
    Record::Page(audit(), PhaseIndex(phase), page, PageRecord { done: tasks.iter().map(result).collect() })
}

pub fn start_map(index: u32, task: TaskId, inputs: Vec<Output>) -> Command {
    Command::StartMap(MapStart { worker: worker(index), task, program: "score".to_owned(), inputs, lease_ms: 300 })
}

pub fn start_member(index: u32, task: TaskId, generation: u64, world_size: u32) -> Command {
    Command::StartGangMember(GangStart {
        worker: worker(index),
        task,
        generation: Generation(generation),
        world_size,
        program: "train".to_owned(),
        inputs: vec![],
        timeout_ms: 600,
    })
}

pub fn start_reduce(phase: u32, attempt: Attempt, inputs: Vec<Output>) -> Command {
    Command::StartReduce { audit: audit(), phase: PhaseIndex(phase), attempt, program: "fold".to_owned(), inputs }
}

pub fn acknowledge(index: u32, task: TaskId, outcome: CommitOutcome) -> Command {
    Command::Acknowledge { worker: worker(index), task, outcome }
}

pub fn abort(index: u32, task: TaskId, reason: &str) -> Command {
    Command::Abort { worker: worker(index), task, reason: reason.to_owned() }
}

pub fn ended() -> Command {
    Command::AuditEnded { audit: audit() }
}
