//! Whole audits: submitted once, cancelled for good, given up when nobody is left, side by side.

use lethe_common::ids::TaskId;
use lethe_common::time::Millis;
use lethe_engine::{AuditState, Command, Control, Deed, Options, Outline, PhaseState, Record, What};

use crate::bench::{
    Bench, abort, audit, audit_record, control, ended, gang, map, named, persist, phase_record, reduce, start_map,
    task, waiting,
};

#[test]
fn a_second_submission_of_one_id_changes_nothing() {
    let mut bench = Bench::new();
    bench.submit(vec![reduce("plan")]);
    let before = bench.engine.durable();
    assert_eq!(bench.submit(vec![reduce("another")]), vec![]);
    assert_eq!(bench.engine.durable(), before);
    assert_eq!(bench.engine.spec_json(&audit()), Some("{}"));
}

#[test]
fn a_plan_that_cannot_run_fails_at_once_with_its_reason() {
    let reason = "the plan cannot run: phase train has a world size of 0; expected 1 to 1024".to_owned();
    let expected = vec![
        persist(vec![
            audit_record(vec![gang("train", 0)], AuditState::Failed { at: Millis(0), reason }, None),
            phase_record(0, waiting()),
        ]),
        ended(),
    ];
    assert_eq!(Bench::new().submit(vec![gang("train", 0)]), expected);
}

#[test]
fn a_cancelled_audit_stops_its_tasks_and_stays_cancelled() {
    let plan = vec![reduce("plan"), map("score")];
    let mut bench = Bench::with_workers(1);
    bench.outlined(plan.clone(), 1);
    let outline = Some(Outline { shards: 1, ..Outline::default() });
    let mut record = audit_record(plan, AuditState::Cancelled { at: Millis(0) }, outline);
    if let Record::Audit(_, audit) = &mut record {
        audit.deeds.push(Deed { at: Millis(0), by: "ann".to_owned(), what: What::Controlled(Control::Cancel) });
    }
    let expected = vec![persist(vec![record]), abort(0, task(1, 0, 0), "the audit was cancelled"), ended()];
    assert_eq!(bench.step(control(Control::Cancel)), expected);
    assert_eq!(bench.step(control(Control::Cancel)), vec![]);
    let late = bench.commit(0, task(1, 0, 0));
    assert!(matches!(late[..], [Command::Acknowledge { .. }]), "nothing is stored: {late:?}");
}

#[test]
fn a_cancelled_reduce_is_aborted() {
    let mut bench = Bench::new();
    bench.submit(vec![reduce("plan")]);
    let commands = bench.step(control(Control::Cancel));
    let TaskId { audit, phase, attempt, .. } = task(0, 0, 0);
    assert_eq!(commands[1..], [Command::AbortReduce { audit, phase, attempt }, ended()]);
    assert_eq!(bench.reduce_done(0, 0, None), vec![]);
}

#[test]
fn an_audit_without_workers_is_given_up_after_the_grace() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 1);
    let grace_ms = bench.knobs.grace_ms;
    bench.lose(0);
    assert_eq!(bench.tick_after(grace_ms - 1), vec![]);
    let commands = bench.tick_after(1);
    assert_eq!(commands[1..], [ended()]);
    let reason = "phase score: no worker is left, the last was w0: unplugged; so it has been for 3000 ms, the limit is 3000 ms: \
                  mend the workers and run it again"
        .to_owned();
    assert_eq!(bench.phase(1).state, PhaseState::Failed { at: Millis(grace_ms), reason });
}

#[test]
fn a_reduce_needs_no_worker_and_gets_no_deadline() {
    let mut bench = Bench::new();
    bench.submit(vec![reduce("plan")]);
    let long_ms = bench.knobs.grace_ms * 2;
    assert_eq!(bench.tick_after(long_ms), vec![]);
}

#[test]
fn a_gang_that_gathers_keeps_the_idle_workers_and_the_others_go_on_without_them() {
    let mut bench = Bench::with_workers(2);
    bench.outlined(vec![reduce("plan"), map("score"), gang("train", 2)], 2);
    bench.now = Millis(1);
    bench.outlined_as("b", 4, Options::default());
    let mine = |shard, counter| TaskId { audit: named("b"), ..task(1, shard, counter) };
    let tail = bench.commit(0, task(1, 0, 0));
    assert_eq!(tail[2..], [start_map(0, mine(0, 0), vec![])], "the older has no more to give");
    let gathering = bench.commit(1, task(1, 1, 0));
    assert!(matches!(gathering[..], [Command::Persist(_), Command::Acknowledge { .. }]), "{gathering:?}");
    let third = bench.submit_with("c", vec![reduce("plan")], Options::default());
    assert!(matches!(third[..], [Command::Persist(_), Command::StartReduce { .. }]), "needs no worker: {third:?}");
    let formed = bench.commit(0, mine(0, 0));
    let starts = formed.iter().filter(|command| matches!(command, Command::StartGangMember(_))).count();
    assert_eq!((starts, formed.len()), (2, 4), "{formed:?}");
}
