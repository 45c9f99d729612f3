//! The workers: what each does, or why it does nothing.
//!
//! It must never leave out a lost one that the coordinator still tells of.

use lethe_proto::v1::{Pace, WorkerView};

use super::table::{Align, Table};
use super::words::{count, plain, reason, size};
use super::{Page, when};

/// States that explain themselves.
const PLAIN_STATES: [&str; 2] = ["idle", "busy"];

pub fn workers(workers: &[WorkerView], page: Page) -> String {
    if workers.is_empty() {
        return "no workers; start one with lethe-worker --coordinator URL --id NAME\n".to_owned();
    }
    let left = ["WORKER", "STATE", "SINCE", "DEVICE"].map(|head| (head, Align::Left));
    let right = ["MEMORY", "TASKS", "COMMITTED", "FAILED"].map(|head| (head, Align::Right));
    let last = ["RELEASE", "HOST"].map(|head| (head, Align::Left));
    let mut table = Table::new(left.into_iter().chain(right).chain(last));
    for worker in workers {
        table.row(cells(worker, page), notes(worker));
    }
    table.text(page.columns)
}

fn cells(worker: &WorkerView, page: Page) -> [String; 10] {
    [
        plain(&worker.worker),
        plain(&worker.state),
        when::ago(worker.since_ms, page.now).unwrap_or_default(),
        plain(&worker.device),
        size(worker.memory_bytes).unwrap_or_default(),
        format!("{}/{}", worker.tasks.len(), worker.slots.max(1)),
        count(worker.committed),
        if worker.failed == 0 { String::new() } else { count(worker.failed) },
        plain(&worker.release),
        plain(&worker.host),
    ]
}

fn notes(worker: &WorkerView) -> Vec<String> {
    let explains_itself = worker.reason.is_empty() && PLAIN_STATES.contains(&worker.state.as_str());
    let reason = (!explains_itself).then(|| reason(&worker.reason));
    reason.into_iter().chain(worker.pace.as_ref().and_then(pace)).collect()
}

/// How fast it is while it works, and whether its device starves.
fn pace(pace: &Pace) -> Option<String> {
    let of_tasks = |amount: u64| amount as f64 / pace.tasks_ms as f64;
    (pace.tasks_ms > 0).then(|| {
        let (rate, waited) = (1e3 * of_tasks(pace.samples), 100.0 * of_tasks(pace.waited_ms).min(1.0));
        let busy = 100.0 - waited;
        format!("{rate:.1} samples/s in its map tasks; device busy {busy:.0} %, waiting for samples {waited:.0} %")
    })
}
