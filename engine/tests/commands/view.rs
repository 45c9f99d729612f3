//! What a person is shown: what is done of how much, and why nothing goes on where nothing does.

use lethe_common::fault::Fault;
use lethe_engine::{AuditState, Counts};

use crate::bench::{Bench, COUNTS, audit, gang, map, reduce, task};

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
