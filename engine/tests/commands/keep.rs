//! After the end: run again from a phase, and forgotten in time.

use lethe_common::ids::{PhaseIndex, TaskId};
use lethe_engine::{
    AuditState, Change, Command, Conclusion, Event, InputSpec, Options, PhaseSpec, PhaseState, Plan, RerunError, Scope,
};

use crate::bench::{Bench, gang, leased, map, named, reduce, task};

fn plan() -> Vec<PhaseSpec> {
    let mut report = reduce("report");
    report.inputs = vec![InputSpec { phase: PhaseIndex(1), scope: Scope::All }];
    vec![reduce("plan"), map("score"), report]
}

/// Scored two shards; its report runs.
fn scored() -> Bench {
    let mut bench = Bench::with_workers(1);
    bench.outlined(plan(), 2);
    bench.commit(0, task(1, 0, 0));
    bench.commit(0, task(1, 1, 0));
    bench
}

fn rerun(bench: &mut Bench, id: &str, from: u32) -> Vec<Command> {
    let (audit, of, from) = (named(id), named("a"), PhaseIndex(from));
    let (plan, spec_json, options) = (Plan { phases: plan() }, "{}".to_owned(), Options::default());
    bench.step(Event::RerunRequested { audit, of, from, plan, spec_json, options })
}

#[test]
fn a_rerun_begins_with_the_results_of_the_phases_before() {
    let mut bench = scored();
    let commands = rerun(&mut bench, "b", 2);
    let [Command::Persist(batch), Command::StartReduce { audit, phase, inputs, .. }] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert_eq!((batch.len(), audit, *phase), (4, &named("b"), PhaseIndex(2)), "no segment is written again");
    let paths: Vec<&str> = inputs.iter().map(|input| input.blobs[0].blob.path.as_str()).collect();
    assert_eq!(paths, ["a/001/0000000/1.0/out", "a/001/0000001/1.0/out"], "the bytes lie where they were written");
    assert!(paths.iter().all(|path| bench.engine.points_at(path)));
    let view = bench.engine.view(&named("b")).expect("is there");
    assert_eq!((view.rerun_of, view.phases[1].done), (Some(named("a")), 2));
    let before = bench.engine.durable();
    bench.restore();
    assert_eq!(bench.engine.durable(), before);
}

#[test]
fn a_rerun_knows_what_it_came_to_where_it_took_over_the_phase_that_says_it() {
    let mut bench = Bench::new();
    let phases = || vec![reduce("plan"), reduce("report"), reduce("deliver")];
    bench.submit(phases());
    bench.reduce_done(0, 0, None);
    let (verdict, headline) = ("rejected".to_owned(), "Backdoor found, but not removed".to_owned());
    let said = Some(Conclusion { verdict, headline });
    bench.reduce_concludes((1, 0), None, said.clone());
    bench.reduce_done(2, 0, None);
    for (id, from, expected) in [("b", 2, said.clone()), ("c", 1, None)] {
        let (audit, of, from) = (named(id), named("a"), PhaseIndex(from));
        let (plan, spec_json, options) = (Plan { phases: phases() }, "{}".to_owned(), Options::default());
        bench.step(Event::RerunRequested { audit, of, from, plan, spec_json, options });
        assert_eq!(bench.engine.view(&named(id)).expect("is there").conclusion, expected, "{id}");
    }
    bench.restore();
    assert_eq!(bench.engine.view(&named("b")).expect("is there").conclusion, said);
}

#[test]
fn a_rerun_from_the_map_scores_again() {
    let mut bench = scored();
    assert_eq!(leased(&rerun(&mut bench, "b", 1)), [(0, 0)]);
}

/// Of how many shards another audit may take over what this one's phase gave.
fn given(bench: &Bench, id: &str, phase: &str) -> Option<usize> {
    bench.engine.map_results(&named(id), phase).map(|results| results.len())
}

#[test]
fn what_a_map_gave_is_given_on_where_it_was_planned_so() {
    let mut bench = scored();
    assert_eq!((given(&bench, "a", "score"), given(&bench, "a", "none")), (Some(2), None));
    let results = bench.engine.map_results(&named("a"), "score").expect("is done");
    assert_eq!(results[1].2[0].blob.path, "a/001/0000001/1.0/out");
    rerun(&mut bench, "b", 2);
    assert_eq!(given(&bench, "b", "score"), Some(2), "all of it is the first one's");
    rerun(&mut bench, "c", 1);
    assert_eq!(given(&bench, "c", "score"), None, "it is not done");
    for shard in [0, 1] {
        bench.commit(0, TaskId { audit: named("c"), ..task(1, shard, 0) });
    }
    assert!(matches!(bench.engine.phase_state(&named("c"), PhaseIndex(1)), Some(PhaseState::Done { .. })));
    assert_eq!(given(&bench, "c", "score"), None, "its plan is another's, and may be by another spec");
}

#[test]
fn reruns_that_cannot_be_are_refused_and_change_nothing() {
    let mut bench = scored();
    let check = |bench: &Bench, id: &str, of: &str, phases: Vec<PhaseSpec>, from: u32| {
        bench.engine.check_rerun(&named(id), &named(of), &Plan { phases }, PhaseIndex(from)).err()
    };
    let renamed = vec![reduce("plan"), map("another"), reduce("report")];
    let gang_now = vec![reduce("plan"), gang("score", 1), reduce("report")];
    let longer = [plan(), vec![reduce("more"), reduce("last")]].concat();
    let of = || named("a");
    let table = [
        (check(&bench, "b", "none", plan(), 1), RerunError::Unknown(named("none"))),
        (check(&bench, "a", "a", plan(), 1), RerunError::Exists(of())),
        (check(&bench, "b", "a", plan(), 3), RerunError::NoPhase { phases: 3, from: PhaseIndex(3) }),
        (check(&bench, "b", "a", longer.clone(), 3), RerunError::Unfinished { of: of(), phase: "report".to_owned() }),
        (check(&bench, "b", "a", renamed, 2), RerunError::OtherPlan { of: of(), phase: "another".to_owned() }),
        (check(&bench, "b", "a", gang_now, 2), RerunError::OtherPlan { of: of(), phase: "score".to_owned() }),
        (check(&bench, "b", "a", longer, 4), RerunError::OtherPlan { of: of(), phase: "more".to_owned() }),
    ];
    for (found, expected) in table {
        assert_eq!(found, Some(expected));
    }
    assert_eq!(rerun(&mut bench, "a", 2), vec![]);
    assert_eq!(rerun(&mut bench, "b", 3), vec![]);
}

fn forgets(commands: &[Command]) -> Vec<String> {
    let changes = commands.iter().flat_map(|command| match command {
        Command::Persist(batch) => &batch[..],
        _ => &[],
    });
    let forgotten = changes.filter_map(|change| match change {
        Change::Forget(audit) => Some(audit.to_string()),
        Change::Put(_) => None,
    });
    forgotten.collect()
}

#[test]
fn what_ended_is_forgotten_after_the_retention_but_not_while_a_rerun_uses_it() {
    let mut bench = scored();
    rerun(&mut bench, "b", 2);
    bench.reduce_done(2, 0, None);
    let retention_ms = bench.knobs.retention_ms;
    assert_eq!(forgets(&bench.tick_after(retention_ms)), Vec::<String>::new(), "the re-run still reads it");
    bench.reduce_done_of("b", 2, None);
    assert_eq!(forgets(&bench.tick_after(retention_ms - 1)), Vec::<String>::new());
    assert_eq!(forgets(&bench.tick_after(1)), ["b"]);
    assert_eq!(forgets(&bench.tick_after(1)), ["a"]);
    assert_eq!(bench.engine.durable(), vec![]);
    assert!(!bench.engine.points_at("a/001/0000000/1.0/out"));
    let again = bench.submit(plan());
    assert!(matches!(again[..], [Command::Persist(_), Command::StartReduce { .. }]), "its name is free: {again:?}");
}

#[test]
fn a_name_that_was_just_forgotten_is_taken_by_the_next_step() {
    let mut bench = scored();
    bench.reduce_done(2, 0, None);
    bench.now = bench.now.plus_ms(bench.knobs.retention_ms);
    let (audit, plan, spec_json) = (named("a"), Plan { phases: plan() }, "{}".to_owned());
    let submitted = Event::Submitted { audit, plan, spec_json, options: Options::default() };
    let mut events = [Event::Tick, submitted].into();
    let first = bench.engine.step_many(bench.now, &mut events);
    assert_eq!((forgets(&first), events.len()), (vec!["a".to_owned()], 1), "one batch cannot do both");
    bench.engine.step_many(bench.now, &mut events);
    assert_eq!(bench.view().state, AuditState::Running);
}
