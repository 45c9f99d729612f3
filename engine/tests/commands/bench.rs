//! An engine with a clock to turn and short words for what the tests say often.
//!
//! It must never decide what is expected.

use lethe_common::blob::{BlobRef, Digest, NamedBlob, attempt_path};
use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, AuditId, Generation, PhaseIndex, ShardId, TaskId, Term, WorkerId};
use lethe_common::time::Millis;
use lethe_engine::{
    AuditRecord, AuditState, AuditView, Change, Command, CommitOutcome, Conclusion, Control, Counts, Deed, Engine,
    Event, Fate, GangCheckpoint, GangStart, Knobs, MapStart, Options, Outline, Output, PhaseKind, PhaseRecord,
    PhaseSpec, PhaseState, Plan, Profile, Record, SegmentRecord, ShardResult, StoredBlob, Tally, What,
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
        self.submit_with("a", phases, Options::default())
    }

    pub fn submit_with(&mut self, id: &str, phases: Vec<PhaseSpec>, options: Options) -> Vec<Command> {
        let (audit, plan) = (named(id), Plan { phases });
        self.step(Event::Submitted { audit, plan, spec_json: "{}".to_owned(), options })
    }

    /// Another audit, one reduce and one map of so many shards.
    pub fn outlined_as(&mut self, id: &str, shards: u32, options: Options) -> Vec<Command> {
        self.submit_with(id, vec![reduce("plan"), map("score")], options);
        self.reduce_done_of(id, 0, Some(Outline { shards, ..Outline::default() }))
    }

    pub fn reduce_done_of(&mut self, id: &str, phase: u32, outline: Option<Outline>) -> Vec<Command> {
        let attempt = Attempt { term: self.engine.term(), counter: 0 };
        let (audit, phase) = (named(id), PhaseIndex(phase));
        self.step(Event::ReduceDone { audit, phase, attempt, outputs: vec![], outline, conclusion: None })
    }

    /// Submits, and ends the first phase, a reduce, with an outline of so many shards.
    pub fn outlined(&mut self, phases: Vec<PhaseSpec>, shards: u32) -> Vec<Command> {
        self.submit(phases);
        self.reduce_done(0, 0, Some(Outline { shards, ..Outline::default() }))
    }

    pub fn reduce_done(&mut self, phase: u32, counter: u64, outline: Option<Outline>) -> Vec<Command> {
        self.reduce_concludes((phase, counter), outline, None)
    }

    pub fn reduce_concludes(
        &mut self,
        (phase, counter): (u32, u64),
        outline: Option<Outline>,
        conclusion: Option<Conclusion>,
    ) -> Vec<Command> {
        let (phase, attempt) = (PhaseIndex(phase), Attempt { term: self.engine.term(), counter });
        self.step(Event::ReduceDone { audit: audit(), phase, attempt, outputs: vec![], outline, conclusion })
    }

    pub fn reduce_failed(&mut self, phase: u32, counter: u64, fault: Fault) -> Vec<Command> {
        let attempt = Attempt { term: self.engine.term(), counter };
        self.step(Event::ReduceFailed { audit: audit(), phase: PhaseIndex(phase), attempt, fault })
    }

    pub fn join(&mut self, index: u32) -> Vec<Command> {
        self.join_as(index, "cpu", 1)
    }

    pub fn join_as(&mut self, index: u32, kind: &str, slots: u32) -> Vec<Command> {
        let profile = Profile { kind: kind.to_owned(), host: format!("h{index}"), slots };
        self.step(Event::WorkerJoined { worker: worker(index), profile })
    }

    pub fn drain(&mut self, index: u32) -> Vec<Command> {
        self.step(Event::WorkerDraining { worker: worker(index), reason: "SIGTERM".to_owned() })
    }

    /// A result that differs from the others'.
    pub fn lie(&mut self, index: u32, task: TaskId) -> Vec<Command> {
        let mut outputs = outputs(&task);
        outputs[0].blob.digest = Digest([index as u8; 32]);
        self.step(Event::TaskCommitted { worker: worker(index), task, outputs, counts: COUNTS })
    }

    pub fn view(&self) -> AuditView {
        self.engine.view(&audit()).expect("was submitted")
    }

    /// What a worker was leased and has not ended.
    pub fn held(&self, index: u32) -> Vec<TaskId> {
        let workers = self.engine.worker_views();
        workers.into_iter().filter(|view| view.worker == worker(index)).flat_map(|view| view.tasks).collect()
    }

    pub fn progress(&mut self, index: u32, task: &TaskId) -> Vec<Command> {
        self.step(Event::TaskProgressed { worker: worker(index), task: task.clone() })
    }

    pub fn lose(&mut self, index: u32) -> Vec<Command> {
        self.step(Event::WorkerLost { worker: worker(index), reason: "unplugged".to_owned() })
    }

    pub fn commit(&mut self, index: u32, task: TaskId) -> Vec<Command> {
        let outputs = outputs(&task);
        self.step(Event::TaskCommitted { worker: worker(index), task, outputs, counts: COUNTS })
    }

    pub fn checkpoint(&mut self, index: u32, task: TaskId, checkpoint: GangCheckpoint) -> Vec<Command> {
        self.step(Event::GangCheckpointed { worker: worker(index), task, checkpoint })
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
            Record::Phase(..) | Record::Audit(..) | Record::Segment(..) => None,
        });
        found.expect("the plan has that phase")
    }
}

pub const COUNTS: Counts = Counts { read: 3, scored: 2, failed: 1 };

/// Somebody asks it of the audit.
pub fn control(control: Control) -> Event {
    Event::ControlRequested { audit: audit(), control, by: "ann".to_owned() }
}

pub fn audit() -> AuditId {
    named("a")
}

pub fn named(id: &str) -> AuditId {
    AuditId::new(id).expect("is valid")
}

pub fn persist(records: Vec<Record>) -> Command {
    Command::Persist(records.into_iter().map(Change::Put).collect())
}

/// The workers that were leased something, with what.
pub fn leases(commands: &[Command]) -> Vec<(String, TaskId)> {
    let lease = |command: &Command| match command {
        Command::StartMap(start) => Some((start.worker.to_string(), start.task.clone())),
        Command::StartGangMember(start) => Some((start.worker.to_string(), start.task.clone())),
        Command::Persist(_) | Command::StartReduce { .. } | Command::AbortReduce { .. } => None,
        Command::Abort { .. } | Command::Acknowledge { .. } | Command::AcknowledgeCheckpoint { .. } => None,
        Command::AuditEnded { .. } => None,
    };
    commands.iter().filter_map(lease).collect()
}

/// The shards that a list leases, each with the index of its worker.
pub fn leased(commands: &[Command]) -> Vec<(u32, u32)> {
    let index = |worker: String| worker[1..].parse().expect("is a number");
    leases(commands).into_iter().map(|(worker, task)| (index(worker), task.shard.0)).collect()
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
    let kind = PhaseKind::Gang { program: "train".to_owned(), world_size, floor: None };
    PhaseSpec { name: name.to_owned(), kind, inputs: vec![] }
}

/// A gang that goes on with fewer ranks than its world size.
pub fn elastic(name: &str, world_size: u32, floor: u32) -> PhaseSpec {
    let kind = PhaseKind::Gang { program: "train".to_owned(), world_size, floor: Some(floor) };
    PhaseSpec { name: name.to_owned(), kind, inputs: vec![] }
}

/// As the task's own attempt writes it.
pub fn checkpoint_of(task: &TaskId, step: u64) -> GangCheckpoint {
    let path = attempt_path(task, &format!("checkpoint-{step}"));
    GangCheckpoint { step, blob: BlobRef { path, size_bytes: 1, digest: Digest([step as u8; 32]) } }
}

pub fn waiting() -> PhaseRecord {
    PhaseRecord {
        state: PhaseState::Waiting,
        started: None,
        generation: Generation(0),
        retries: 0,
        outputs: vec![],
        tally: Tally::default(),
        halvings: Default::default(),
        notes: vec![],
        conclusion: None,
        checkpoint: None,
        furthest: 0,
    }
}

pub fn running() -> PhaseRecord {
    PhaseRecord { state: PhaseState::Running, started: Some(Millis(0)), ..waiting() }
}

pub fn done() -> PhaseRecord {
    PhaseRecord { state: PhaseState::Done { at: Millis(0) }, ..running() }
}

pub fn audit_record(phases: Vec<PhaseSpec>, state: AuditState, outline: Option<Outline>) -> Record {
    let (plan, spec_json, options) = (Plan { phases }, "{}".to_owned(), Options::default());
    let (paused, inherited) = (None, vec![]);
    let submitted = Millis(0);
    let deeds = vec![Deed { at: submitted, by: String::new(), what: What::Submitted }];
    Record::Audit(
        audit(),
        AuditRecord { plan, spec_json, submitted, state, outline, options, paused, deeds, inherited, marks: None },
    )
}

pub fn phase_record(index: u32, record: PhaseRecord) -> Record {
    Record::Phase(audit(), PhaseIndex(index), record)
}

pub fn segment_record(phase: u32, segment: u32, tasks: &[TaskId]) -> Record {
    let entries = tasks.iter().map(|task| (task.shard, Fate::Done(result(task)))).collect();
    Record::Segment(audit(), PhaseIndex(phase), segment, SegmentRecord { entries })
}

pub fn result(task: &TaskId) -> ShardResult {
    let stored = |output: NamedBlob| {
        let (size_bytes, digest) = (output.blob.size_bytes, output.blob.digest);
        StoredBlob { name: output.name.into(), size_bytes, digest }
    };
    ShardResult { attempt: task.attempt, outputs: outputs(task).into_iter().map(stored).collect(), counts: COUNTS }
}

pub fn quarantine_record(phase: u32, shard: u32, tries: u32, reason: &str) -> Record {
    let fate = Fate::Quarantined { tries, reason: reason.to_owned() };
    Record::Segment(audit(), PhaseIndex(phase), 0, SegmentRecord { entries: vec![(ShardId(shard), fate)] })
}

pub fn start_map(index: u32, task: TaskId, inputs: Vec<Output>) -> Command {
    Command::StartMap(MapStart { worker: worker(index), task, inputs, lease_ms: 300, batch_halvings: 0 })
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
        checkpoint: None,
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
