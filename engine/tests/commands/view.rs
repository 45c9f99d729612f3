//! What a person is shown: what is done of how much, and why nothing goes on where nothing does.

use lethe_common::fault::Fault;
use lethe_common::time::Millis;
use lethe_engine::{AuditState, Control, Counts};

use crate::bench::{Bench, COUNTS, audit, control, gang, map, reduce, task};

#[test]
fn progress_counts_and_reasons_are_shown_for_each_phase() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score"), gang("train", 2)], 3);
    bench.commit(0, task(1, 0, 0));
    bench.fail(0, task(1, 1, 0), Fault::retryable("disk full"));
    let view = bench.engine.view(&audit()).expect("was submitted");
    assert_eq!((view.state, view.workers), (AuditState::Running, 1));
    let shown: Vec<_> = view.phases.iter().map(|p| (p.kind, p.done, p.total, p.retries, p.reason.as_str())).collect();
    let expected = vec![("reduce", 1, 1, 0, ""), ("map", 1, 3, 1, ""), ("gang", 0, 1, 0, "waiting for phase score")];
    assert_eq!(shown, expected);
    assert_eq!((view.phases[1].counts, view.phases[2].counts), (COUNTS, Counts::default()));
    bench.lose(0);
    let view = bench.engine.view(&audit()).expect("was submitted");
    assert_eq!((view.phases[1].reason.as_str(), view.workers), ("no worker is left; the last was w0: unplugged", 0));
}

#[test]
fn the_end_is_foretold_from_commits_alone() {
    let mut bench = Bench::with_workers(1);
    bench.outlined(vec![reduce("plan"), map("score")], 4);
    assert_eq!(bench.view().phases[1].eta, None, "nothing has ended yet");
    bench.now = Millis(100);
    bench.commit(0, task(1, 0, 0));
    assert_eq!(bench.view().phases[1].eta, Some(Millis(400)));
    bench.tick_after(150);
    assert_eq!(bench.view().phases[1].eta, Some(Millis(400)), "time alone tells nothing");
    bench.step(control(Control::Pause));
    let paused = &bench.view().phases[1];
    assert_eq!((paused.eta, paused.reason.as_str()), (None, "the audit is paused"));
}

#[test]
fn whatever_does_not_run_says_why() {
    let mut bench = Bench::new();
    bench.outlined(vec![reduce("plan"), map("score")], 4);
    let reason = |bench: &Bench| bench.view().reason;
    assert_eq!(reason(&bench), "no worker joined");
    bench.join(0);
    assert_eq!(reason(&bench), "");
    bench.tick_after(300);
    assert_eq!(reason(&bench), "waiting for a worker, 1 joined and none free for it");
    assert_eq!(bench.engine.worker_views()[0].state, "stopping");
    bench.drain(0);
    assert_eq!(reason(&bench), "all 1 workers drain");
    bench.step(control(Control::Cancel));
    assert_eq!((reason(&bench).as_str(), bench.view().phases[1].eta), ("by ann", None));
}
