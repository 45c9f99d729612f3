//! An audit among faults ends as the undisturbed one: same scores, same suspects, same weights.
//!
//! One test for all of them, since they share the undisturbed audit and run one after the other.

use std::time::Instant;

use lethe_proto::v1::PhaseView;
use nix::sys::signal::Signal;

use crate::audit::{Audit, Ended};
use crate::children::{Process, below, wait_until_gone};
use crate::drill::{Drill, Size};
use crate::follower::{Follower, is_running};
use crate::results::{Results, furthest_weight};

const SIZE: Size = Size { shards: 8, pairs_per_shard: 200 };

/// A kill may hit an executor that holds no task; so many are tried until one hits a task.
const MAX_KILLS: u64 = 4;

/// The exit code of an interrupted command.
const INTERRUPTED: i32 = 130;

#[test]
fn faults_do_not_change_the_result() {
    let drill = Drill::plant(SIZE);
    drill.spec(|_| {});
    let undisturbed =
        timed("undisturbed", || finish(Audit::start(&drill.path("audit.toml"), drill.path("undisturbed"))));
    has_done_something(&drill, &undisturbed);
    timed("killed while scoring", || killed_while_scoring(&drill, &undisturbed));
    timed("killed while unlearning", || killed_while_unlearning(&drill, &undisturbed));
    timed("interrupted while scoring", || interrupted_while_scoring(&drill, &undisturbed));
}

/// Equal results would prove nothing if there were nothing in them.
fn has_done_something(drill: &Drill, results: &Results) {
    let report = results.report();
    assert_eq!((report.samples.scored, report.bad.count), (1_600, 0));
    assert!(report.suspects > 0 && report.forget > 0, "{report:?}");
    let victim = std::fs::read(drill.path("victim.safetensors")).expect("reads");
    let clean = results.clean();
    let victim = lethe_model::Clip::load(clean.config(), &victim).expect("loads");
    assert!(furthest_weight(&clean, &victim) > 0.0, "nothing was unlearned");
}

fn killed_while_scoring(drill: &Drill, undisturbed: &Results) {
    let mut audit = Audit::start(&drill.path("audit.toml"), drill.path("score-killed"));
    let mut follower = Follower::of(&mut audit);
    let mut hit = 0;
    for _ in 0..MAX_KILLS {
        let before = follower.wait_for("score", "under way", is_running);
        // Stopped, it keeps the task that it has or is given, while the other's commits make new views.
        let executor = executor_of(&audit);
        executor.signal(Signal::SIGSTOP);
        let beside =
            follower.wait_for("score", "going on beside it", |score| score.retries > 0 || score.done > before.done);
        executor.kill();
        let going_on = |score: &PhaseView| score.retries > 0 || score.done > beside.done || !is_running(score);
        hit = follower.wait_for("score", "going on", going_on).retries;
        if hit > 0 {
            break;
        }
    }
    assert!(hit > 0, "no kill hit a task; {}", audit.account());
    assert!(loss_is_logged(&audit), "no worker says that its executor was killed; {}", audit.account());
    let results = finish(audit);
    assert!(results.retries("score") >= 1);
    results.assert_equal(undisturbed, "an executor killed while scoring");
}

fn killed_while_unlearning(drill: &Drill, undisturbed: &Results) {
    let mut audit = Audit::start(&drill.path("audit.toml"), drill.path("unlearn-killed"));
    let mut follower = Follower::of(&mut audit);
    let before = follower.wait_for("unlearn", "some steps in", |unlearn| is_running(unlearn) && unlearn.done >= 3);
    executor_of(&audit).kill();
    assert!(before.done < before.total, "the training was over before the kill: {before:?}");
    follower.wait_for("unlearn", "in another generation", |unlearn| unlearn.retries > 0);
    assert!(loss_is_logged(&audit), "no worker says that its executor was killed; {}", audit.account());
    let results = finish(audit);
    assert!(results.retries("unlearn") >= 1);
    results.assert_equal(undisturbed, "an executor killed while unlearning");
}

fn interrupted_while_scoring(drill: &Drill, undisturbed: &Results) {
    let mut audit = Audit::start(&drill.path("audit.toml"), drill.path("interrupted"));
    let mut follower = Follower::of(&mut audit);
    let score = follower.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
    let family = below(audit.pid());
    audit.interrupt();
    let Ended { status, said } = audit.end();
    assert_eq!(status.code(), Some(INTERRUPTED), "{said}");
    assert_eq!(family.iter().filter(|process| process.is_executor()).count(), 2, "{family:?}");
    wait_until_gone(&family);
    assert!(!drill.path("interrupted").join("report.json").exists(), "it was interrupted too late: {said}");

    let results = finish(Audit::start(&drill.path("audit.toml"), drill.path("interrupted")));
    let again = results.attempts("score").values().filter(|tries| tries.iter().any(|t| t.starts_with("2."))).count();
    assert!(
        again as u64 <= score.total - score.done,
        "{again} shards were scored again, {} were committed",
        score.done
    );
    assert!(again > 0, "nothing was left to do");
    results.assert_equal(undisturbed, "an interruption while scoring");
}

/// Waits for a command's end and wants it accepted.
fn finish(audit: Audit) -> Results {
    let result = audit.result().to_owned();
    let Ended { status, said } = audit.end();
    assert_eq!(status.code(), Some(0), "{said}");
    Results::of(result)
}

fn executor_of(audit: &Audit) -> Process {
    let executor = below(audit.pid()).into_iter().find(|process| process.is_executor());
    executor.unwrap_or_else(|| panic!("no executor runs; {}", audit.account()))
}

/// Whether an agent reports a task as lost with its executor.
fn loss_is_logged(audit: &Audit) -> bool {
    ["worker-0", "worker-1"].iter().any(|worker| audit.log(worker).contains("executor died with signal 9"))
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    result
}
