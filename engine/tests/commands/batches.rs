//! Steps of many events: one batch at the head, which fits the store's limits whatever happens.

use std::collections::{BTreeMap, VecDeque};

use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, TaskId, Term};
use lethe_engine::{
    AuditState, Change, Command, CommitOutcome, Control, Engine, Event, Knobs, Options, Outline, Plan, Profile, Record,
    RecordKey,
};
use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};

use crate::bench::{
    Bench, COUNTS, acknowledge, gang, leases, map, outputs, persist, reduce, segment_record, start_map, task, worker,
};

const MAX_CHANGES: usize = 120;

fn committed(index: u32, task: TaskId) -> Event {
    let outputs = outputs(&task);
    Event::TaskCommitted { worker: worker(index), task, outputs, counts: COUNTS }
}

#[test]
fn commits_that_come_together_are_one_batch_and_one_segment() {
    let mut bench = Bench::new();
    bench.join_as(0, "cpu", 3);
    bench.outlined(vec![reduce("plan"), map("score")], 4);
    let tasks = [task(1, 0, 0), task(1, 1, 0), task(1, 2, 0)];
    let mut events: VecDeque<Event> = tasks.iter().map(|task| committed(0, task.clone())).collect();
    let expected = vec![
        persist(vec![segment_record(1, 0, &tasks)]),
        acknowledge(0, tasks[0].clone(), CommitOutcome::Applied),
        acknowledge(0, tasks[1].clone(), CommitOutcome::Applied),
        acknowledge(0, tasks[2].clone(), CommitOutcome::Applied),
        start_map(0, task(1, 3, 0), vec![]),
    ];
    assert_eq!(bench.engine.step_many(bench.now, &mut events), expected);
    assert!(events.is_empty());
}

fn changes(commands: &[Command]) -> usize {
    let batches = commands.iter().filter_map(|command| match command {
        Command::Persist(batch) => Some(batch.len()),
        _ => None,
    });
    batches.sum()
}

#[test]
fn a_fleet_that_falls_silent_is_set_back_tick_by_tick() {
    let mut bench = Bench::new();
    bench.knobs = Knobs { max_running: 1_000, max_running_per_submitter: 1_000, ..bench.knobs };
    bench.engine = Engine::new(Term(1), bench.knobs.clone());
    for index in 0..200 {
        bench.outlined_as(&format!("a{index}"), 1, Options::default());
        bench.join(index);
    }
    let mut aborted = 0;
    for tick in 0..20 {
        let commands = bench.tick_after(if tick == 0 { 300 } else { 0 });
        assert!(changes(&commands) <= MAX_CHANGES, "{} changes", changes(&commands));
        aborted += commands.iter().filter(|command| matches!(command, Command::Abort { .. })).count();
    }
    assert_eq!(aborted, 200, "none is left out");
}

#[test]
fn a_plan_too_long_to_run_is_not_too_long_to_refuse() {
    let mut bench = Bench::new();
    let commands = bench.submit((0..500).map(|i| reduce(&format!("p{i}"))).collect());
    assert!(changes(&commands) <= MAX_CHANGES, "{} changes", changes(&commands));
    match bench.view().state {
        AuditState::Failed { reason, .. } => assert!(reason.contains("500 phases"), "{reason}"),
        state => panic!("{state:?}"),
    }
    bench.restore();
}

/// What a story is made of: (what, who, shard, audit).
type Word = (u8, u32, u32, u32);

fn event(engine: &Engine, given: &BTreeMap<u32, TaskId>, (what, who, shard, audit): Word) -> Event {
    let id = |n: u32| AuditId::new(&format!("a{n}")).expect("is valid");
    let (audit_id, term) = (id(audit), engine.term());
    let attempt = Attempt { term, counter: u64::from(shard % 3) };
    let any = TaskId { audit: audit_id.clone(), phase: PhaseIndex(1 + who % 2), attempt, ..task(1, shard, 0) };
    let held = given.get(&who).cloned().unwrap_or(any);
    let plan = || Plan { phases: vec![reduce("plan"), map("score"), gang("train", 2), map("rescore"), reduce("end")] };
    let options = || Options {
        check_ppm: 300_000,
        max_lost_ppm: 500_000,
        priority: (who % 2) as i32,
        approval: shard % 2 == 0,
        ..Options::default()
    };
    let reason = || "any".to_owned();
    match what {
        0 | 1 => Event::WorkerJoined {
            worker: worker(who),
            profile: Profile { kind: "cpu".to_owned(), host: String::new(), slots: 1 + shard % 3 },
        },
        2 => Event::WorkerLost { worker: worker(who), reason: reason() },
        3..8 => committed(who, held),
        8 => Event::TaskFailed { worker: worker(who), task: held, fault: Fault::retryable("any") },
        9 => Event::TaskFailed { worker: worker(who), task: held, fault: Fault::bad_shard("any") },
        10 => Event::TaskFailed { worker: worker(who), task: held, fault: Fault::out_of_memory("any") },
        11 => Event::WorkerDraining { worker: worker(who), reason: reason() },
        12 | 13 => Event::Submitted { audit: audit_id, plan: plan(), spec_json: String::new(), options: options() },
        14 if shard % 2 == 0 => {
            Event::ControlRequested { audit: audit_id, control: Control::Approve, by: String::new() }
        }
        14 => Event::ControlRequested { audit: audit_id, control: Control::Pause, by: String::new() },
        15 if shard % 2 == 0 => crate::marks::made(&audit_id, u64::from(who), None),
        15 => Event::ControlRequested { audit: audit_id, control: Control::Resume, by: String::new() },
        16 => Event::ControlRequested { audit: audit_id, control: Control::Cancel, by: String::new() },
        17 => Event::Stalled { ms: u64::from(shard) * 50 },
        18 => Event::RerunRequested {
            audit: id(audit + 10),
            of: audit_id,
            from: PhaseIndex(who % 5),
            plan: plan(),
            spec_json: String::new(),
            options: options(),
        },
        19..22 => {
            let phase = PhaseIndex(if what == 21 { 4 } else { 0 });
            let outline = (what < 21).then(|| Outline { shards: 4 + shard, ..Outline::default() });
            Event::ReduceDone {
                audit: audit_id,
                phase,
                attempt: Attempt { term, counter: 0 },
                outputs: vec![],
                outline,
                conclusion: None,
            }
        }
        _ => Event::Tick,
    }
}

/// Specs that one batch writes.
fn spec_bytes(commands: &[Command]) -> usize {
    let Some(Command::Persist(batch)) = commands.first() else { return 0 };
    let of = |change: &Change| match change {
        Change::Put(Record::Audit(_, audit)) => audit.spec_json.len(),
        Change::Put(_) | Change::Forget(_) => 0,
    };
    batch.iter().map(of).sum()
}

/// A store takes 1 MiB at once, and as JSON in JSON a spec may be twice as long.
const MOST_SPEC_BYTES: usize = 512 << 10;

#[test]
fn long_specs_that_change_together_are_written_a_few_at_a_time() {
    for by_request in [true, false] {
        let mut bench = Bench::new();
        bench.knobs = Knobs { max_running: 1_000, max_running_per_submitter: 1_000, ..bench.knobs };
        bench.engine = Engine::new(Term(1), bench.knobs.clone());
        let ids: Vec<AuditId> = (0..24).map(|index| AuditId::new(&format!("a{index}")).expect("is an id")).collect();
        for audit in &ids {
            let (audit, plan) = (audit.clone(), Plan { phases: vec![reduce("plan"), map("score")] });
            let spec_json = "x".repeat(96 << 10);
            bench.step(Event::Submitted { audit: audit.clone(), plan, spec_json, options: Options::default() });
            bench.reduce_done_of(audit.as_str(), 0, Some(Outline { shards: 2, ..Outline::default() }));
        }
        let cancel = |audit: &AuditId| Event::ControlRequested {
            audit: audit.clone(),
            control: Control::Cancel,
            by: String::new(),
        };
        let mut events: VecDeque<Event> = if by_request { ids.iter().map(cancel).collect() } else { VecDeque::new() };
        let has_ended = |bench: &Bench, audit: &AuditId| {
            let view = bench.engine.view(audit).expect("is kept");
            !matches!(view.state, AuditState::Running)
        };
        for _ in 0..ids.len() {
            if events.is_empty() {
                bench.now = bench.now.plus_ms(bench.knobs.grace_ms); // nobody is there to work
                events.push_back(Event::Tick);
            }
            let commands = bench.engine.step_many(bench.now, &mut events);
            assert!(spec_bytes(&commands) <= MOST_SPEC_BYTES, "{} bytes of specs", spec_bytes(&commands));
        }
        assert!(ids.iter().all(|audit| has_ended(&bench, audit)), "by request: {by_request}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens, in whatever groups: one batch at the head, within its limits, and the batches add up to
    /// what an engine is rebuilt from.
    #[test]
    fn any_story_gives_batches_that_fit_and_add_up(
        story in prop::collection::vec((prop::collection::vec((0u8..26, 0u32..4, 0u32..6, 0u32..3), 1..12), 0u64..120), 0..40)
    ) {
        let mut bench = Bench::new();
        let mut store: BTreeMap<RecordKey, Record> = BTreeMap::new();
        let mut given: BTreeMap<u32, TaskId> = BTreeMap::new();
        for (group, ms) in story {
            bench.now = bench.now.plus_ms(ms);
            let mut events: VecDeque<Event> = group.into_iter().map(|word| event(&bench.engine, &given, word)).collect();
            while !events.is_empty() {
                let before = events.len();
                let commands = bench.engine.step_many(bench.now, &mut events);
                prop_assert!(events.len() < before, "each step takes an event");
                for (index, command) in commands.iter().enumerate() {
                    if let Command::Persist(batch) = command {
                        prop_assert_eq!(index, 0);
                        prop_assert!(batch.len() <= MAX_CHANGES);
                        batch.iter().for_each(|change| apply(&mut store, change));
                    }
                }
                for (worker, task) in leases(&commands) {
                    given.insert(worker[1..].parse().expect("is a number"), task);
                }
            }
        }
        let stored: Vec<Record> = store.into_values().collect();
        let mut durable = bench.engine.durable();
        durable.sort_by_key(Record::key);
        prop_assert_eq!(&durable, &stored);
        let rebuilt = Engine::restore(Term(2), bench.knobs.clone(), stored).expect("fits together");
        prop_assert_eq!(rebuilt.durable(), bench.engine.durable());
    }
}

fn apply(store: &mut BTreeMap<RecordKey, Record>, change: &Change) {
    match change {
        Change::Put(record) => drop(store.insert(record.key(), record.clone())),
        Change::Forget(audit) => store.retain(|key, _| key.audit() != audit),
    }
}
