//! What a scrape and a collector are told of tasks, steps and calls.

use lethe_common::program::{GangProgram, MapProgram};

use super::*;
use crate::frame::Place;
use crate::task::{CallTime, Counts, sample_id};

fn run(work: Work) -> RunTask {
    RunTask {
        task: sample_id(1),
        work,
        spec_json: String::new(),
        inputs: Vec::new(),
        batch_halvings: 0,
        blob_root: String::new(),
        traceparent: None,
    }
}

fn meter() -> (Meter, Metrics) {
    let metrics = Metrics::default();
    (Meter::new(metrics.clone(), Spans::off(), WorkerId::new("w").expect("is an id")), metrics)
}

fn shows(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.text();
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn samples_are_counted_as_they_come_and_once() {
    let (mut meter, metrics) = meter();
    meter.begins(&run(Work::Map { program: MapProgram::Score }));
    meter.progressed(&sample_id(1), 40);
    shows(&metrics, &["lethe_worker_samples_total{program=\"score\"} 40"]);
    meter.progressed(&sample_id(2), 500); // another's
    meter.progressed(&sample_id(1), 64);
    let output = TaskOutput { counts: Counts::all(100), waited_ms: 1_500, ..TaskOutput::default() };
    meter.done(&sample_id(1), &output, Duration::from_secs(4));
    meter.commits(&sample_id(1));
    meter.settled(&sample_id(1));
    shows(
        &metrics,
        &[
            "lethe_worker_samples_total{program=\"score\"} 100",
            "lethe_worker_decode_wait_seconds_total{program=\"score\"} 1.5",
            "lethe_worker_device_busy_seconds_total{program=\"score\"} 2.5",
            "lethe_worker_tasks_total{program=\"score\",outcome=\"done\"} 1",
            "lethe_worker_commit_seconds_count 1",
        ],
    );
}

#[test]
fn a_trainings_time_is_its_own_or_its_peers() {
    let (mut meter, metrics) = meter();
    let place = Place { generation: lethe_common::ids::Generation(1), rank: 0, world_size: 2, timeout_ms: 1 };
    meter.begins(&run(Work::Gang { program: GangProgram::Train, place, checkpoint: None }));
    let call = CallTime { operation: "all_reduce".into(), calls: 3, payload_bytes: 12, waited_us: 500_000 };
    let step = |step| StepTime { step, began_us: 0, took_us: 2_000_000, calls: vec![call.clone()] };
    meter.progressed(&sample_id(1), 1); // a step, and no sample
    meter.stepped(&sample_id(1), &[step(1), step(2)]);
    meter.done(&sample_id(1), &TaskOutput::default(), Duration::from_secs(5));
    shows(
        &metrics,
        &[
            "lethe_worker_steps_total{program=\"train\"} 2",
            "lethe_worker_step_seconds_sum{program=\"train\"} 4.0",
            "lethe_worker_collective_seconds_total{operation=\"all_reduce\"} 1.0",
            "lethe_worker_collective_payload_bytes_total{operation=\"all_reduce\"} 24",
            "lethe_worker_device_busy_seconds_total{program=\"train\"} 4.0",
        ],
    );
    assert!(!metrics.text().contains("lethe_worker_samples_total{program=\"train\"}"));
}

#[test]
fn a_fault_is_counted_by_its_kind() {
    let (mut meter, metrics) = meter();
    meter.begins(&run(Work::Map { program: MapProgram::Score }));
    meter.failed(&sample_id(1), &Fault::fatal("a wrong shape"));
    let failed = "lethe_worker_tasks_total{program=\"score\",outcome=\"failed\"} 1";
    shows(&metrics, &["lethe_worker_task_faults_total{kind=\"fatal\"} 1", failed]);
}
