//! Reduce phases: one fold at a time, tried again a bounded number of times.

use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, Term};
use lethe_common::time::Millis;
use lethe_engine::{AuditState, Command, Conclusion, Outline, PhaseRecord, PhaseState};

use crate::bench::{
    Bench, audit_record, done, ended, map, persist, phase_record, reduce, running, start_reduce, waiting,
};

fn attempt(counter: u64) -> Attempt {
    Attempt { term: Term(1), counter }
}

#[test]
fn phases_are_stored_with_the_audit_and_the_first_starts() {
    let plan = vec![reduce("plan"), reduce("report")];
    let expected = vec![
        persist(vec![
            audit_record(plan.clone(), AuditState::Running, None),
            phase_record(0, running()),
            phase_record(1, waiting()),
        ]),
        start_reduce(0, attempt(0), vec![]),
    ];
    assert_eq!(Bench::new().submit(plan), expected);
}

#[test]
fn a_done_reduce_starts_the_next_phase_and_an_old_one_changes_nothing() {
    let mut bench = Bench::new();
    bench.submit(vec![reduce("plan"), reduce("report")]);
    assert_eq!(bench.reduce_done(0, 7, None), vec![]);
    let expected =
        vec![persist(vec![phase_record(0, done()), phase_record(1, running())]), start_reduce(1, attempt(0), vec![])];
    assert_eq!(bench.reduce_done(0, 0, None), expected);
    assert_eq!(bench.reduce_done(0, 0, None), vec![]);
}

#[test]
fn what_an_audit_came_to_is_kept_with_the_phase_that_says_it_and_told_from_then_on() {
    let mut bench = Bench::new();
    bench.submit(vec![reduce("report"), reduce("deliver")]);
    let (verdict, headline) = ("nothing-found".to_owned(), "No backdoor found".to_owned());
    let said = Some(Conclusion { verdict, headline });
    assert_eq!(bench.view().conclusion, None);
    let record = PhaseRecord { conclusion: said.clone(), ..done() };
    let expected =
        vec![persist(vec![phase_record(0, record), phase_record(1, running())]), start_reduce(1, attempt(0), vec![])];
    assert_eq!(bench.reduce_concludes((0, 0), None, said.clone()), expected);
    bench.reduce_done(1, 0, None);
    assert_eq!(bench.view().conclusion, said);
}

#[test]
fn a_retryable_fault_is_tried_again_until_the_limit() {
    let plan = vec![reduce("plan")];
    let mut bench = Bench::new();
    bench.submit(plan.clone());
    for tried in 1..5 {
        let expected = vec![
            persist(vec![phase_record(0, PhaseRecord { retries: tried, ..running() })]),
            start_reduce(0, attempt(tried), vec![]),
        ];
        assert_eq!(bench.reduce_failed(0, tried - 1, Fault::retryable("disk full")), expected);
    }
    let reason = "phase plan: try 5 of 5 failed on the coordinator: disk full".to_owned();
    let state = PhaseState::Failed { at: Millis(0), reason: reason.clone() };
    let expected = vec![
        persist(vec![
            audit_record(plan, AuditState::Failed { at: Millis(0), reason }, None),
            phase_record(0, PhaseRecord { state, retries: 5, ..running() }),
        ]),
        ended(),
    ];
    assert_eq!(bench.reduce_failed(0, 4, Fault::retryable("disk full")), expected);
}

#[test]
fn a_reduce_without_storage_rests_and_goes_on_for_as_long_as_the_grace() {
    let mut bench = Bench::new();
    bench.submit(vec![reduce("plan")]);
    let (mut counter, full) = (0, || Fault::storage("no space left on device"));
    while bench.now.0 < bench.knobs.grace_ms {
        assert_eq!(
            bench.reduce_failed(0, counter, full()).len(),
            1,
            "the retry is recorded, and nothing starts at once"
        );
        let said = bench.view().phases[0].reason.clone();
        assert!(said.contains("without storage; the last: no space left on device"), "{said}");
        counter += 1;
        while !bench.tick_after(5).iter().any(|command| matches!(command, Command::StartReduce { .. })) {}
    }
    assert!((8..20).contains(&counter), "{counter} tries, rests between them");
    let PhaseState::Failed { reason, .. } = ({
        bench.reduce_failed(0, counter, full());
        bench.phase(0).state
    }) else {
        panic!("{:?}", bench.phase(0).state)
    };
    assert!(reason.ends_with("s failed on the coordinator: no space left on device"), "{reason}");
}

#[test]
fn a_map_without_an_outline_and_a_bad_outline_fail_with_a_reason() {
    let reason = |bench: &Bench, phase| match bench.phase(phase).state {
        PhaseState::Failed { reason, .. } => reason,
        state => panic!("{state:?}"),
    };
    let mut bench = Bench::new();
    bench.submit(vec![map("score")]);
    assert_eq!(reason(&bench, 0), "phase score needs shards; no reduce before it gave an outline");
    let mut bench = Bench::new();
    bench.submit(vec![reduce("plan")]);
    bench.reduce_done(0, 0, Some(Outline { shards: u32::MAX, ..Outline::default() }));
    assert!(reason(&bench, 0).contains("the limit is"), "{}", reason(&bench, 0));
}
