//! The desk's whole answers, case by case.

use lethe_common::ids::Generation;
use lethe_common::program::{GangProgram, MapProgram};

use super::*;
use crate::frame::Place;
use crate::task::sample_id;

const LATER: Duration = Duration::from_secs(3_600);

fn map(counter: u64) -> RunTask {
    let work = Work::Map { program: MapProgram::Score };
    RunTask { task: sample_id(counter), work, spec_json: String::new(), inputs: Vec::new(), blob_root: String::new() }
}

fn gang(counter: u64, timeout_ms: u64) -> RunTask {
    let place = Place { generation: Generation(1), rank: 0, world_size: 2, timeout_ms };
    RunTask { work: Work::Gang { program: GangProgram::Train, place }, ..map(counter) }
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
    let mut desk = Desk::new(now);
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
fn a_task_waits_for_the_executor_and_is_committed() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
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
fn an_executor_that_does_not_start_hands_tasks_back_and_is_tried_less_and_less() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    desk.step(now, Input::Tick);
    desk.step(now, assigned(map(1)));
    assert_eq!(desk.step(now, exited()), [fail(1, "TASK: executor died with signal 9 before it was ready")]);
    assert_eq!(desk.step(now, Input::Tick), []);
    assert_eq!(desk.step(now + Duration::from_millis(200), Input::Tick), [Action::StartExecutor]);
    desk.step(now, exited());
    assert_eq!(desk.step(now + Duration::from_millis(399), Input::Tick), []);
    assert_eq!(desk.step(now + Duration::from_millis(400), Input::Tick), [Action::StartExecutor]);
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
    let mut desk = Desk::new(now);
    for counter in 0..MAX_WAITING as u64 {
        assert_eq!(desk.step(now, assigned(map(counter))), []);
    }
    let refused = desk.step(now, assigned(map(9)));
    assert_eq!(refused, [fail(9, "TASK: refused: 4 tasks wait for this worker's executor")]);
}
