//! Several leases a worker: handed out breadth first, one deadline for all, and only the running one to blame.

use lethe_common::fault::Fault;
use lethe_common::time::Millis;
use lethe_engine::{Command, Event, PhaseRecord};

use crate::bench::{Bench, abort, leased, map, persist, phase_record, reduce, running, task, worker};

fn two_slots(workers: u32, shards: u32) -> (Bench, Vec<Command>) {
    let mut bench = Bench::new();
    (0..workers).for_each(|i| drop(bench.join_as(i, "cpu", 2)));
    let commands = bench.outlined(vec![reduce("plan"), map("score")], shards);
    (bench, commands)
}

#[test]
fn every_worker_has_one_before_any_has_two() {
    let (mut bench, commands) = two_slots(2, 6);
    assert_eq!(leased(&commands), [(0, 0), (1, 1), (0, 2), (1, 3)]);
    assert_eq!(leased(&bench.commit(1, task(1, 1, 0))), [(1, 4)], "a slot is filled at once");
    assert_eq!(leased(&bench.join_as(2, "cpu", 2)), [(2, 5)]);
}

#[test]
fn a_sign_of_life_of_one_task_renews_all_and_their_leases_run_out_together() {
    let (mut bench, _) = two_slots(1, 3);
    bench.now = Millis(299);
    bench.step(Event::TaskProgressed { worker: worker(0), task: task(1, 0, 0) });
    assert_eq!(bench.tick_after(299), vec![], "renewed");
    let why = "its lease ran out";
    let expired = vec![
        persist(vec![phase_record(1, PhaseRecord { retries: 2, ..running() })]),
        abort(0, task(1, 0, 0), why),
        abort(0, task(1, 1, 0), why),
    ];
    assert_eq!(bench.tick_after(1), expired);
}

#[test]
fn only_the_running_task_is_struck() {
    let (mut bench, _) = two_slots(1, 4);
    bench.tick_after(300);
    let stopped = Fault::handed_back("aborted");
    let after_one = bench.fail(0, task(1, 0, 0), stopped.clone());
    assert_eq!(leased(&after_one), [(0, 1)], "it only waited, so that it is as good as new");
    let after_other = bench.fail(0, task(1, 1, 0), stopped);
    assert_eq!(leased(&after_other), [(0, 2)], "the struck one goes last");
}

#[test]
fn what_waits_does_not_lengthen_the_lease_of_what_runs() {
    let (mut bench, _) = two_slots(1, 1);
    bench.now = Millis(200);
    bench.outlined_as("b", 1, Default::default());
    let commands = bench.tick_after(100);
    let aborts = commands.iter().filter(|command| matches!(command, Command::Abort { .. })).count();
    assert_eq!(aborts, 2, "both run out with the first: {commands:?}");
}

#[test]
fn a_gang_member_has_its_worker_alone() {
    let (mut bench, _) = two_slots(2, 2);
    bench.submit_with("g", vec![crate::bench::gang("train", 2)], Default::default());
    assert_eq!(leased(&bench.commit(0, task(1, 0, 0))), [], "the other still has a task");
    assert_eq!(leased(&bench.commit(1, task(1, 1, 0))), [(0, 0), (1, 1)]);
    assert_eq!(leased(&bench.outlined_as("b", 4, Default::default())), [], "a second slot is no room beside a rank");
}
