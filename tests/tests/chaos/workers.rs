//! Executors and agents are killed or stopped: their work goes to others, or waits for them.

use nix::sys::signal::Signal;

use crate::children::below;
use crate::cluster::{Cluster, Shape};
use crate::stage::{is_running, patient_scenario, scenario};

/// A kill may hit an executor between two tasks; so many are tried until one hits a task.
const MAX_KILLS: u64 = 4;

#[test]
#[ignore = "long: make chaos"]
fn executor_killed_in_mid_score() {
    scenario("executor killed in mid-score", Shape::usual(), |cluster, undisturbed| {
        let mut hit = 0;
        for kills in 1..=MAX_KILLS {
            let before = cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= kills);
            kill_executor(&cluster);
            let going_on = |score: &lethe_proto::v1::PhaseView| score.retries > 0 || score.done > before.done;
            hit = cluster.wait_for("score", "going on", going_on).retries;
            if hit > 0 {
                break;
            }
        }
        assert!(hit > 0, "no kill hit a task");
        let told = |n: usize| cluster.workers()[n].log().contains("died with signal 9 while running");
        assert!((0..3).any(told), "no worker says that its executor was killed");
        let results = cluster.finish();
        assert!(results.retries("score") >= 1);
        results.assert_equal(undisturbed, "an executor killed while scoring");
    });
}

/// A busy worker may have none for a moment: the last one was killed, or the first has not started.
fn kill_executor(cluster: &Cluster) {
    let mut found = None;
    cluster.wait("a busy worker's executor", |cluster| {
        let busy = cluster.busy_worker("score");
        found = below(cluster.workers()[busy].pid()).into_iter().find(|process| process.is_executor());
        found.is_some()
    });
    found.expect("the wait ended with one").kill();
}

#[test]
fn agent_killed_in_mid_score() {
    scenario("agent killed in mid-score", Shape::usual(), |mut cluster, undisturbed| {
        cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 1);
        let victim = cluster.busy_worker("score");
        cluster.worker(victim).kill();
        cluster.wait("the worker given up", |c| !c.is_joined(victim));
        cluster.wait_for("score", "a task given to another", |score| score.retries > 0);
        let results = cluster.finish();
        results.assert_equal(undisturbed, "an agent killed while scoring");
    });
}

#[test]
#[ignore = "long: make chaos"]
fn agent_stopped_beyond_its_silence() {
    scenario("agent stopped beyond its silence, then continued", Shape::usual(), |mut cluster, undisturbed| {
        cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 1);
        let victim = cluster.busy_worker("score");
        cluster.worker(victim).signal(Signal::SIGSTOP);
        cluster.wait("the worker given up", |c| !c.is_joined(victim));
        assert!(
            cluster.log_of(cluster.leader().0).contains("no heartbeat for 750 ms"),
            "it was given up for something else"
        );
        cluster.wait_for("score", "a task given to another", |score| score.retries > 0);
        cluster.worker(victim).signal(Signal::SIGCONT);
        cluster.wait("the worker back", |c| c.is_joined(victim));
        let log = |c: &Cluster| c.workers()[victim].log();
        cluster.wait("its second session", |c| log(c).matches("session opened").count() >= 2);
        let results = cluster.finish();
        results.assert_equal(undisturbed, "an agent stopped and continued");
    });
}

#[test]
#[ignore = "long: make chaos"]
fn all_workers_killed_and_started_again() {
    scenario("all workers killed, started again within the grace", Shape::usual(), |mut cluster, undisturbed| {
        cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
        kill_all(&mut cluster);
        cluster.wait("no worker left", |c| c.operator.workers().is_some_and(|all| all.is_empty()));
        let before = cluster.wait_for("score", "at rest", |score| score.retries > 0 && !score.reason.is_empty());
        assert!(before.done < before.total, "nothing was left to do");
        (0..3).for_each(|n| cluster.start_worker(n));
        let results = cluster.finish();
        results.assert_equal(undisturbed, "all workers killed and started again");
    });
}

#[test]
#[ignore = "long: make chaos"]
fn all_workers_gone_for_good() {
    let shape = Shape { heartbeat_ms: 100, ..Shape::usual() };
    let grace_ms = 300 * shape.heartbeat_ms;
    patient_scenario("all workers gone for good", shape, |mut cluster, _| {
        cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
        kill_all(&mut cluster);
        let since = std::time::Instant::now();
        let ended = cluster.wait_for_end();
        let after_ms = since.elapsed().as_millis() as u64;
        assert_eq!(ended.state(), lethe_proto::v1::RunState::Failed);
        for part in ["phase score", "no worker", &format!("the limit is {grace_ms} ms")] {
            assert!(ended.reason.contains(part), "{:?} does not say {part:?}", ended.reason);
        }
        assert!((grace_ms - 1_000..2 * grace_ms).contains(&after_ms), "it failed after {after_ms} ms");
        assert!(!cluster.results().join("report.json").exists(), "a failed audit published a report");
    });
}

/// A gang of another size sums in another order; f32, after 100 steps.
const SHRUNKEN_GANG_TOLERANCE: f64 = 1e-3;

#[test]
#[ignore = "long: make chaos"]
fn gang_goes_on_with_fewer_workers() {
    let shape = Shape { workers: 2, gang_floor: Some(1), ..Shape::usual() };
    scenario(
        "one of two workers gone for good in mid-unlearn, the gang goes on with one",
        shape,
        |mut cluster, undisturbed| {
            cluster.wait_for("unlearn", "some steps in", |unlearn| is_running(unlearn) && unlearn.done >= 10);
            let victim = cluster.busy_worker("unlearn");
            cluster.worker(victim).kill();
            cluster.wait("the worker given up", |c| !c.is_joined(victim));
            let small =
                |unlearn: &lethe_proto::v1::PhaseView| unlearn.notes.iter().any(|note| note.contains("1 of 2 ranks"));
            cluster.wait_for("unlearn", "going on with one", small);
            let results = cluster.finish();
            results.assert_scores(undisturbed, "a gang that shrank");
            results.assert_weights(undisturbed, SHRUNKEN_GANG_TOLERANCE, "a gang that shrank");
        },
    );
}

fn kill_all(cluster: &mut Cluster) {
    (0..3).for_each(|n| cluster.worker(n).kill());
}
