//! The desk's whole answers, case by case.

use std::time::Duration;

use lethe_common::ids::{Generation, ShardId};
use lethe_common::program::{GangProgram, MapProgram};

use super::*;
use crate::agent::slot::{GANG_GRACE, MAP_GRACE, START_GRACE};
use crate::frame::{Place, Work};
use crate::task::{TaskInput, sample_id};

const LATER: Duration = Duration::from_secs(3_600);

/// Of a program that opens no shard.
fn map(counter: u64) -> RunTask {
    let work = Work::Map { program: MapProgram::Rescore };
    RunTask {
        task: sample_id(counter),
        work,
        spec_json: String::new(),
        inputs: Vec::new(),
        batch_halvings: 0,
        blob_root: String::new(),
        traceparent: None,
    }
}

fn gang(counter: u64, timeout_ms: u64) -> RunTask {
    let place = Place { generation: Generation(1), rank: 0, world_size: 2, timeout_ms };
    RunTask { work: Work::Gang { program: GangProgram::Train, place, checkpoint: None }, ..map(counter) }
}

fn score(counter: u64) -> RunTask {
    let inputs =
        ["plan", "reference"].map(|phase| TaskInput { phase: phase.into(), shard: ShardId(0), blobs: Vec::new() });
    RunTask { work: Work::Map { program: MapProgram::Score }, inputs: inputs.to_vec(), ..map(counter) }
}

/// As it is told: where its shard lies is known, and nothing else is needed.
fn expect(counter: u64) -> Action {
    let run = score(counter);
    Action::Expect(Box::new(RunTask { inputs: run.inputs[..1].to_vec(), ..run }))
}

fn assigned(run: RunTask) -> Input {
    Input::Assigned(Box::new(run))
}

fn run(run: RunTask) -> Vec<Action> {
    vec![Action::Run(Box::new(run))]
}

fn fail(counter: u64, why: &str) -> Action {
    Action::Fail(sample_id(counter), Fault::retryable(why.replace("TASK", &sample_id(counter).to_string())))
}

fn abort_asked(counter: u64) -> Input {
    Input::AbortAsked { task: sample_id(counter), reason: "superseded".into() }
}

fn exited() -> Input {
    Input::ExecutorExited { how: "died with signal 9".into() }
}

/// A desk whose executor is ready.
fn idle(now: Instant) -> Desk {
    let mut desk = Desk::new(now, Slots::default());
    assert_eq!(desk.step(now, Input::Tick), [Action::StartExecutor]);
    assert_eq!(desk.step(now, Input::ExecutorReady), []);
    desk
}

fn busy(now: Instant, task: RunTask) -> Desk {
    let mut desk = idle(now);
    assert_eq!(desk.step(now, assigned(task.clone())), run(task));
    desk
}

#[test]
fn the_task_that_waits_first_is_told_to_the_executor_once() {
    let now = Instant::now();
    let mut desk = busy(now, score(1));
    assert_eq!(desk.step(now, assigned(score(2))), [expect(2)]);
    assert_eq!(desk.step(now, assigned(score(3))), []);
    let done = |counter| Input::ExecutorDone { task: sample_id(counter), output: TaskOutput::default() };
    let commit = |counter| Action::Commit(sample_id(counter), TaskOutput::default());
    assert_eq!(desk.step(now, done(1)), [commit(1), Action::Run(Box::new(score(2))), expect(3)]);
    assert_eq!(desk.step(now, done(2)), [commit(2), Action::Run(Box::new(score(3)))]);
    assert_eq!(desk.step(now, assigned(gang(4, 1_000))), [], "a gang reads no shard");
    assert_eq!(desk.step(now, done(3)), [commit(3), Action::Run(Box::new(gang(4, 1_000)))]);
    assert_eq!(desk.step(now, assigned(score(5))), [], "nor is one opened beside a gang");
}

#[test]
fn a_task_waits_for_the_executor_and_is_committed() {
    let now = Instant::now();
    let mut desk = Desk::new(now, Slots::default());
    assert_eq!(desk.step(now, assigned(map(1))), []);
    assert_eq!(desk.step(now, Input::Tick), [Action::StartExecutor]);
    assert_eq!(desk.step(now, Input::ExecutorReady), run(map(1)));
    assert!(!desk.is_free());
    let output = TaskOutput::default();
    let done = Input::ExecutorDone { task: sample_id(1), output: output.clone() };
    assert_eq!(desk.step(now, done), [Action::Commit(sample_id(1), output)]);
    assert!(desk.is_free());
}

#[test]
fn a_task_that_is_sent_twice_runs_once() {
    let now = Instant::now();
    let mut desk = busy(now, map(1));
    assert_eq!(desk.step(now, assigned(map(1))), []);
    let failed = Input::ExecutorFailed { task: sample_id(1), fault: Fault::fatal("bad shape") };
    assert_eq!(desk.step(now, failed), [Action::Fail(sample_id(1), Fault::fatal("bad shape"))]);
    assert!(desk.is_free());
}

#[test]
fn a_dead_executor_is_reported_with_its_task_and_replaced() {
    let now = Instant::now();
    let mut desk = busy(now, map(1));
    assert_eq!(desk.step(now, assigned(map(2))), []);
    let report = fail(1, "executor died with signal 9 while running TASK");
    assert_eq!(desk.step(now, exited()), [report, Action::StartExecutor]);
    assert_eq!(desk.step(now, Input::ExecutorReady), run(map(2)), "what waited is not lost");
}

#[test]
fn an_executor_that_ends_with_its_device_is_given_nothing_more() {
    let now = Instant::now();
    let broken = |counter| {
        let fault = Fault::retryable("CUDA error: unspecified launch failure");
        Input::ExecutorBroken { task: sample_id(counter), fault }
    };
    let mut desk = busy(now, map(1));
    assert_eq!(desk.step(now, assigned(map(2))), []);
    assert_eq!(desk.step(now, broken(1)), []);
    let report = fail(1, "CUDA error: unspecified launch failure");
    assert_eq!(desk.step(now, exited()), [report.clone(), Action::StartExecutor]);
    assert_eq!(desk.step(now, Input::ExecutorReady), run(map(2)), "what waited is not blamed");

    assert_eq!(desk.step(now, broken(1)), [], "it has another task by now");
    desk.step(now, abort_asked(2));
    assert_eq!(desk.step(now, broken(2)), []);
    assert_eq!(desk.step(now + MAP_GRACE, Input::Tick), [Action::KillExecutor], "its end may hang");
    assert_eq!(desk.step(now + MAP_GRACE, exited()), [fail(2, "TASK: aborted: superseded"), Action::StartExecutor]);
}

#[test]
fn an_executor_that_does_not_start_hands_tasks_back_and_is_tried_less_and_less() {
    let now = Instant::now();
    let mut desk = Desk::new(now, Slots::default());
    desk.step(now, Input::Tick);
    desk.step(now, assigned(map(1)));
    assert_eq!(desk.step(now, exited()), [fail(1, "TASK: executor died with signal 9 before it was ready")]);
    assert_eq!(desk.step(now, Input::Tick), []);
    assert_eq!(desk.step(now + Duration::from_millis(200), Input::Tick), [Action::StartExecutor]);
    desk.step(now, exited());
    assert_eq!(desk.step(now + Duration::from_millis(399), Input::Tick), []);
    assert_eq!(desk.step(now + Duration::from_millis(400), Input::Tick), [Action::StartExecutor]);
}

/// As where a driver hangs: the worker would draw in task after task.
#[test]
fn an_executor_that_hangs_before_it_is_ready_is_killed_once_and_hands_tasks_back() {
    let now = Instant::now();
    let mut desk = Desk::new(now, Slots::default());
    desk.step(now, Input::Tick);
    desk.step(now, assigned(gang(1, 1_000)));
    let before = now + START_GRACE - Duration::from_millis(1);
    assert_eq!(desk.step(before, Input::Tick), []);
    let killed = [fail(1, "TASK: the executor was not ready in time"), Action::KillExecutor];
    assert_eq!(desk.step(now + START_GRACE, Input::Tick), killed);
    assert_eq!(desk.step(now + LATER, Input::Tick), [], "once");
    let refused = [fail(2, "TASK: the executor was not ready in time")];
    assert_eq!(desk.step(now + LATER, assigned(map(2))), refused, "a driver may keep it from dying");
    assert_eq!(desk.step(now + LATER, exited()), []);
    assert_eq!(desk.step(now + LATER + Duration::from_millis(200), Input::Tick), [Action::StartExecutor]);
}

#[test]
fn an_abort_is_asked_first_and_enforced_once_later() {
    let now = Instant::now();
    let mut desk = busy(now, map(1));
    assert_eq!(desk.step(now, abort_asked(1)), [Action::Abort(sample_id(1))]);
    assert_eq!(desk.step(now, Input::Tick), []);
    assert_eq!(desk.step(now + MAP_GRACE, Input::Tick), [Action::KillExecutor]);
    assert_eq!(desk.step(now + LATER, Input::Tick), []);
    let report = fail(1, "TASK: aborted: superseded");
    assert_eq!(desk.step(now + LATER, exited()), [report, Action::StartExecutor]);
}

#[test]
fn a_gangs_abort_waits_for_its_collectives_to_time_out() {
    let now = Instant::now();
    let mut desk = busy(now, gang(1, 60_000));
    desk.step(now, abort_asked(1));
    assert_eq!(desk.step(now + Duration::from_secs(60), Input::Tick), []);
    assert_eq!(desk.step(now + Duration::from_secs(60) + GANG_GRACE, Input::Tick), [Action::KillExecutor]);
}

#[test]
fn the_next_generation_starts_when_the_aborted_one_is_over() {
    let now = Instant::now();
    let mut desk = busy(now, gang(1, 1_000));
    desk.step(now, abort_asked(1));
    assert_eq!(desk.step(now, assigned(gang(2, 1_000))), []);
    let late = Input::ExecutorDone { task: sample_id(1), output: TaskOutput::default() };
    let mut expected = vec![fail(1, "TASK: aborted: superseded")];
    expected.extend(run(gang(2, 1_000)));
    assert_eq!(desk.step(now, late), expected);
}

#[test]
fn an_abort_of_another_attempt_changes_nothing() {
    let now = Instant::now();
    let mut desk = busy(now, map(2));
    assert_eq!(desk.step(now, abort_asked(1)), []);
    let stale = Input::ExecutorDone { task: sample_id(1), output: TaskOutput::default() };
    assert_eq!(desk.step(now, stale), []);
    assert!(!desk.is_free());
}

#[test]
fn a_waiting_task_is_handed_back_at_once() {
    let now = Instant::now();
    let mut desk = busy(now, map(1));
    desk.step(now, assigned(map(2)));
    assert_eq!(desk.step(now, abort_asked(2)), [fail(2, "TASK: aborted: superseded")]);
    desk.step(now, assigned(map(3)));
    let all = desk.step(now, Input::AbortAll { reason: "no coordinator".into() });
    assert_eq!(all, [fail(3, "TASK: aborted: no coordinator"), Action::Abort(sample_id(1))]);
}

#[test]
fn tasks_beyond_the_limit_are_refused() {
    let now = Instant::now();
    for (slots, limit) in [("1", 3), ("2", 4), ("64", 66)] {
        let mut desk = Desk::new(now, slots.parse().expect("is a number of slots"));
        for counter in 0..limit {
            assert_eq!(desk.step(now, assigned(map(counter))), []);
        }
        let refused = desk.step(now, assigned(map(99)));
        assert_eq!(refused, [fail(99, &format!("TASK: refused: {limit} tasks wait for this worker's executor"))]);
    }
}

fn handed_back(counter: u64, why: &str) -> Action {
    let task = sample_id(counter);
    Action::Fail(task.clone(), Fault::handed_back(format!("{task}: {why}")))
}

fn done(counter: u64) -> Input {
    Input::ExecutorDone { task: sample_id(counter), output: TaskOutput::default() }
}

fn commit(counter: u64) -> Action {
    Action::Commit(sample_id(counter), TaskOutput::default())
}

#[test]
fn the_next_task_starts_as_the_one_before_ends() {
    let now = Instant::now();
    let mut desk = busy(now, map(1));
    assert_eq!(desk.step(now, assigned(map(2))), []);
    assert_eq!(desk.step(now, assigned(map(3))), []);
    for (ended, next) in [(1, 2), (2, 3)] {
        assert_eq!(desk.step(now, done(ended)), [commit(ended), Action::Run(Box::new(map(next)))]);
    }
}

/// What a lost session and its return do to a task that runs and one that waits.
#[test]
fn without_a_session_maps_go_on_and_gangs_end() {
    let now = Instant::now();
    let lost = || Input::SessionLost { reason: "lost".into() };
    let resumed = "handed back: its session ended before it began";

    let mut desk = busy(now, map(1));
    desk.step(now, assigned(map(2)));
    assert_eq!(desk.step(now, lost()), [], "their leader may come back");
    assert_eq!(desk.step(now, Input::SessionResumed), [handed_back(2, resumed)]);
    assert_eq!(desk.step(now, done(1)), [commit(1)], "first commit wins");

    let mut desk = busy(now, map(1));
    desk.step(now, assigned(map(2)));
    desk.step(now, lost());
    assert_eq!(desk.step(now, done(1)), [commit(1), Action::Run(Box::new(map(2)))], "nothing else is to be done");

    let mut desk = busy(now, gang(1, 1_000));
    desk.step(now, assigned(gang(2, 1_000)));
    assert_eq!(desk.step(now, lost()), [fail(2, "TASK: aborted: lost"), Action::Abort(sample_id(1))]);
    assert_eq!(desk.step(now, lost()), [], "every failed try to dial says so again");
}

#[test]
fn a_draining_desk_lets_its_map_task_finish_and_takes_nothing() {
    let now = Instant::now();
    let mut desk = busy(now, map(1));
    desk.step(now, assigned(map(2)));
    let drain = Input::Drain { reason: "stopping".into() };
    assert_eq!(desk.step(now, drain), [handed_back(2, "handed back: stopping")]);
    assert_eq!(desk.step(now, assigned(map(3))), [handed_back(3, "not taken: stopping")]);
    assert!(!desk.is_free());
    assert_eq!(desk.step(now, done(1)), [commit(1)]);
    assert!(desk.is_free());
    assert_eq!(desk.step(now, exited()), [], "no executor is started for nothing");
    assert_eq!(desk.step(now + LATER, Input::Tick), []);
}

#[test]
fn a_draining_desk_leaves_its_gang_between_two_steps() {
    let now = Instant::now();
    let mut desk = busy(now, gang(1, 1_000));
    assert_eq!(desk.step(now, Input::Drain { reason: "stopping".into() }), [Action::Abort(sample_id(1))]);
    let ended = Input::ExecutorFailed { task: sample_id(1), fault: Fault::retryable("aborted") };
    assert_eq!(desk.step(now, ended), [handed_back(1, "handed back: stopping")]);
    assert!(desk.is_free());
}

#[test]
fn a_desk_out_of_grace_hands_back_and_kills() {
    let now = Instant::now();
    let hand_back = || Input::HandBack { reason: "stopping".into() };
    let aborting = |now| {
        let mut desk = busy(now, map(1));
        desk.step(now, abort_asked(1));
        desk
    };
    let cases = [
        (idle(now), vec![]),
        (Desk::new(now, Slots::default()), vec![]),
        (busy(now, map(1)), vec![handed_back(1, "handed back: stopping"), Action::KillExecutor]),
        (aborting(now), vec![fail(1, "TASK: aborted: superseded"), Action::KillExecutor]),
    ];
    for (mut desk, expected) in cases {
        assert_eq!(desk.step(now, hand_back()), expected);
        assert_eq!(desk.step(now, hand_back()), [], "once more does nothing");
        assert!(desk.is_free());
        assert_eq!(desk.step(now, done(1)), [], "it was handed back");
        assert_eq!(desk.step(now, exited()), []);
        assert_eq!(desk.step(now, assigned(map(2))), [handed_back(2, "not taken: stopping")]);
    }
}

#[test]
fn an_executor_that_dies_while_draining_is_not_replaced() {
    let now = Instant::now();
    let mut desk = busy(now, map(1));
    desk.step(now, Input::Drain { reason: "stopping".into() });
    assert_eq!(desk.step(now, exited()), [fail(1, "executor died with signal 9 while running TASK")]);
    assert!(desk.is_free());
}
