//! Gangs of another size than their full one: smaller within the floor, and larger again, without blame.

use lethe_common::fault::Fault;
use lethe_common::ids::Generation;
use lethe_engine::{Command, Event, GangPlace, Options, PhaseRecord, Tally};

use crate::bench::{
    Bench, abort, elastic, gang, leases, named, persist, phase_record, running, start_member, task, worker,
};

fn generation(number: u64, retries: u64) -> Command {
    let tally = Tally { strikes: retries, ..Tally::default() };
    persist(vec![phase_record(0, PhaseRecord { generation: Generation(number), retries, tally, ..running() })])
}

fn submitted(workers: u32, world_size: u32, floor: u32) -> Bench {
    let mut bench = Bench::with_workers(workers);
    bench.submit(vec![elastic("train", world_size, floor)]);
    bench
}

/// Waits as long as it must before it goes on with fewer.
fn shrunk(bench: &mut Bench) -> Vec<Command> {
    let shrink_ms = bench.knobs.shrink_ms;
    assert_eq!(bench.tick_after(shrink_ms - 1), vec![]);
    bench.tick_after(1)
}

fn stop(bench: &mut Bench, index: u32, rank: u32, counter: u64) -> Vec<Command> {
    bench.fail(index, task(0, rank, counter), Fault::handed_back("aborted"))
}

#[test]
fn it_goes_on_with_those_that_are_there_after_the_wait() {
    let mut bench = submitted(3, 4, 2);
    let reason = bench.view().phases[0].reason.clone();
    assert_eq!(reason, "not placed: needs 4 idle workers, 3 joined; will go on with 3 in 1 s");
    let expected = vec![
        generation(1, 0),
        start_member(0, task(0, 0, 0), 1, 3),
        start_member(1, task(0, 1, 0), 1, 3),
        start_member(2, task(0, 2, 0), 1, 3),
    ];
    assert_eq!(shrunk(&mut bench), expected);
    let phase = &bench.view().phases[0];
    assert_eq!(
        (phase.reason.as_str(), &phase.notes[..]),
        ("", &["runs with 3 of 4 ranks; grows when more workers are idle".to_owned()][..])
    );
}

#[test]
fn below_its_floor_it_waits_however_long() {
    let mut bench = submitted(1, 3, 2);
    let long_ms = bench.knobs.shrink_ms * 10;
    assert_eq!(bench.tick_after(long_ms), vec![]);
    let reason = bench.view().phases[0].reason.clone();
    assert_eq!(reason, "not placed: needs 3 idle workers, 1 joined and 1 idle; goes on with fewer once 2 have joined");
    assert_eq!(leases(&bench.join(1)).len(), 2, "it has waited long enough for the third");
}

#[test]
fn without_a_floor_it_waits_for_all() {
    let mut bench = Bench::with_workers(1);
    bench.submit(vec![gang("train", 2)]);
    let long_ms = bench.knobs.shrink_ms * 10;
    assert_eq!(bench.tick_after(long_ms), vec![]);
}

#[test]
fn workers_that_are_only_busy_are_waited_for() {
    let mut bench = Bench::with_workers(2);
    bench.outlined_as("b", 1, Options::default());
    bench.submit(vec![elastic("train", 2, 1)]);
    let long_ms = bench.knobs.shrink_ms;
    for _ in 0..4 {
        bench.now = bench.now.plus_ms(long_ms);
        let scored = lethe_common::ids::TaskId { audit: named("b"), ..task(1, 0, 0) };
        let commands = bench.step(Event::TaskProgressed { worker: worker(0), task: scored });
        assert_eq!(commands, vec![], "both are joined");
    }
}

#[test]
fn a_lost_member_is_waited_for_before_it_goes_on_without() {
    let mut bench = submitted(3, 3, 2);
    let long_ms = bench.knobs.shrink_ms * 3;
    (0..3).for_each(|i| drop(bench.step(Event::TaskProgressed { worker: worker(i), task: task(0, i, 0) })));
    bench.now = bench.now.plus_ms(long_ms);
    bench.lose(1);
    stop(&mut bench, 0, 0, 0);
    assert_eq!(stop(&mut bench, 2, 2, 0), vec![]);
    let expected = vec![generation(2, 1), start_member(0, task(0, 0, 1), 2, 2), start_member(2, task(0, 1, 1), 2, 2)];
    assert_eq!(shrunk(&mut bench), expected, "rank 0 stays, rank 2 has no place any more");
}

#[test]
fn a_lost_member_that_comes_back_in_time_has_its_rank_again() {
    let mut bench = submitted(2, 2, 1);
    bench.lose(1);
    stop(&mut bench, 0, 0, 0);
    let almost_ms = bench.knobs.shrink_ms - 1;
    assert_eq!(bench.tick_after(almost_ms), vec![]);
    let expected = vec![generation(2, 1), start_member(0, task(0, 0, 1), 2, 2), start_member(1, task(0, 1, 1), 2, 2)];
    assert_eq!(bench.join(1), expected);
}

#[test]
fn idle_workers_make_it_larger_without_blame() {
    let mut bench = submitted(2, 4, 2);
    shrunk(&mut bench);
    let why = "generation aborted: growing from 2 to 3 ranks";
    assert_eq!(bench.join(2), vec![abort(0, task(0, 0, 0), why), abort(1, task(0, 1, 0), why)]);
    stop(&mut bench, 1, 1, 0);
    let expected = vec![
        generation(2, 0),
        start_member(0, task(0, 0, 1), 2, 3),
        start_member(1, task(0, 1, 1), 2, 3),
        start_member(2, task(0, 2, 1), 2, 3),
    ];
    assert_eq!(stop(&mut bench, 0, 0, 0), expected, "no retry and no strike");
}

#[test]
fn how_the_last_generation_ended_is_shown_and_names_the_rank_that_was_behind() {
    let mut bench = submitted(2, 2, 2);
    let at = |call: &str, call_number, waits| GangPlace { step: 41, call: call.to_owned(), call_number, waits };
    for (index, place) in [(0, at("all_reduce", 9, true)), (1, at("all_gather", 8, false))] {
        let (worker, task) = (worker(index), task(0, index, 0));
        assert_eq!(bench.step(Event::GangProgressed { worker, task, place }), vec![]);
    }
    let stray = Event::GangProgressed { worker: worker(1), task: task(0, 1, 7), place: at("vote", 99, true) };
    bench.step(stray);
    bench.fail(0, task(0, 0, 0), Fault::retryable("all_reduce did not end within 600 ms"));
    let expected = "the last generation ended: rank 0 on worker w0: all_reduce did not end within 600 ms; rank 1 on worker \
                    w1 (host h1) is at step 41 after all_gather (call 8); the furthest waits in step 41 all_reduce (call 9)";
    assert_eq!(bench.view().phases[0].notes, [expected]);
    assert_eq!(bench.phase(0).notes, Vec::<String>::new(), "nothing of it is stored");
}

#[test]
fn a_gang_at_its_end_is_left_alone() {
    let mut bench = submitted(2, 3, 2);
    shrunk(&mut bench);
    bench.commit(1, task(0, 1, 0));
    assert_eq!(bench.join(2), vec![], "its last rank only has to write");
}

#[test]
fn a_draining_member_is_no_rank_to_grow_with() {
    let mut bench = submitted(2, 3, 2);
    shrunk(&mut bench);
    bench.drain(1);
    assert_eq!(bench.join(2), vec![], "two of them would be left");
    assert_eq!(leases(&bench.join(3)).len(), 0);
}

#[test]
fn shards_that_wait_go_before_growth() {
    let mut bench = submitted(2, 3, 2);
    shrunk(&mut bench);
    bench.outlined_as("b", 1, Options::default());
    let commands = bench.join(2);
    assert!(matches!(commands[..], [Command::StartMap(_)]), "{commands:?}");
}

#[test]
fn of_two_small_gangs_one_takes_in_the_newcomer() {
    let mut bench = Bench::with_workers(1);
    for id in ["a", "b"] {
        bench.submit_with(id, vec![elastic("train", 5, 1)], Options::default());
    }
    let shrink_ms = bench.knobs.shrink_ms;
    assert_eq!(leases(&bench.tick_after(shrink_ms)).len(), 1);
    assert_eq!(leases(&bench.join(1)).len(), 1, "the other one forms first");
    let aborts = |commands: &[Command]| commands.iter().filter(|c| matches!(c, Command::Abort { .. })).count();
    assert_eq!(aborts(&bench.join(2)), 1);
    assert_eq!(aborts(&bench.tick_after(1)), 0, "it is kept for the first");
}

#[test]
fn it_does_not_end_a_generation_for_one_that_could_not_form() {
    let mut bench = submitted(2, 4, 2);
    shrunk(&mut bench);
    bench.outlined_as("b", 1, Options::default());
    bench.join(2); // scores
    assert_eq!(bench.join(3), vec![], "four are joined, so that the next would wait for the third");
    let scored = lethe_common::ids::TaskId { audit: named("b"), ..task(1, 0, 0) };
    let commands = bench.commit(2, scored);
    let aborts = commands.iter().filter(|command| matches!(command, Command::Abort { .. })).count();
    assert_eq!(aborts, 2, "{commands:?}");
}

#[test]
fn a_stall_is_nobodys_absence() {
    let mut bench = submitted(1, 2, 1);
    let shrink_ms = bench.knobs.shrink_ms;
    bench.now = bench.now.plus_ms(shrink_ms);
    assert_eq!(bench.step(Event::Stalled { ms: shrink_ms }), vec![]);
    assert_eq!(leases(&shrunk(&mut bench)).len(), 1);
}

#[test]
fn a_new_leader_waits_for_its_workers_to_dial() {
    let mut bench = submitted(2, 2, 1);
    bench.restore();
    assert_eq!(bench.join(0), vec![]);
    assert_eq!(leases(&bench.join(1)).len(), 2);
}
