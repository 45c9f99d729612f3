//! The same for programs. The field names are a promise: they may grow in number, and never change.
//!
//! It must never write 0 for a time that is not known; that is null.

use lethe_proto::v1::{
    AuditView, BlobRef, ClusterReply, Deed, NamedBlob, Pace, PhaseView, Quarantined, TaskId, WorkerView,
};
use serde_json::{Value, json};

use super::cluster::ascending;
use super::notes::phase_name;
use super::words::{kind, state};

pub fn audit(view: &AuditView) -> Value {
    json!({
        "audit": view.audit,
        "state": state(view.state()),
        "reason": view.reason,
        "verdict": verdict(view),
        "headline": headline(view),
        "priority": view.priority,
        "submitter": view.submitter,
        "queue_position": known(view.queue_position.into()),
        "submitted_ms": known(view.submitted_ms),
        "ended_ms": known(view.ended_ms),
        "rerun_of": if view.rerun_of.is_empty() { Value::Null } else { json!(view.rerun_of) },
        "workers": view.workers,
        "awaits_approval": view.awaits_approval,
        "history": view.history.iter().map(deed).collect::<Vec<_>>(),
        "phases": view.phases.iter().map(phase).collect::<Vec<_>>(),
        "quarantined": view.quarantined.iter().map(|lost| quarantined(lost, view)).collect::<Vec<_>>(),
    })
}

/// What the audit came to, as reports spell it; null before the report.
pub fn verdict(view: &AuditView) -> Option<&str> {
    view.conclusion.as_ref().map(|conclusion| conclusion.verdict.as_str())
}

/// The same in a line.
pub fn headline(view: &AuditView) -> Option<&str> {
    view.conclusion.as_ref().map(|conclusion| conclusion.headline.as_str())
}

fn deed(deed: &Deed) -> Value {
    json!({"at_ms": deed.at_ms, "by": deed.by, "what": deed.what})
}

fn phase(phase: &PhaseView) -> Value {
    let counts = phase.counts.unwrap_or_default();
    json!({
        "name": phase.name,
        "kind": kind(phase.kind()),
        "state": state(phase.state()),
        "reason": phase.reason,
        "done": phase.done,
        "total": phase.total,
        "in_flight_done": phase.in_flight_done,
        "in_flight_total": phase.in_flight_total,
        "started_ms": known(phase.started_ms),
        "ended_ms": known(phase.ended_ms),
        "eta_ms": known(phase.eta_ms),
        "samples_read": counts.read,
        "samples_scored": counts.scored,
        "samples_failed": counts.failed,
        "retries": phase.retries,
        "quarantined": phase.quarantined,
        "late": phase.late,
        "speculated": phase.speculated,
        "checked": phase.checked,
        "mismatched": phase.mismatched,
        "outputs": phase.outputs.iter().map(output).collect::<Vec<_>>(),
    })
}

fn output(output: &NamedBlob) -> Value {
    let blob = output.blob.clone().unwrap_or_default();
    let BlobRef { path, size_bytes, digest } = blob;
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"name": output.name, "path": path, "size_bytes": size_bytes, "blake3": hex})
}

fn quarantined(lost: &Quarantined, view: &AuditView) -> Value {
    json!({
        "phase": phase_name(view, lost.phase),
        "shard": lost.shard,
        "tries": lost.tries,
        "reason": lost.reason,
    })
}

pub fn audits(views: &[AuditView]) -> Value {
    json!({"audits": views.iter().map(audit).collect::<Vec<_>>()})
}

pub fn workers(workers: &[WorkerView]) -> Value {
    json!({"workers": workers.iter().map(worker).collect::<Vec<_>>()})
}

fn worker(worker: &WorkerView) -> Value {
    json!({
        "worker": worker.worker,
        "state": worker.state,
        "reason": worker.reason,
        "since_ms": known(worker.since_ms),
        "host": worker.host,
        "device": worker.device,
        "memory_bytes": known(worker.memory_bytes),
        "release": worker.release,
        "wire_version": worker.wire_version,
        "slots": worker.slots,
        "tasks": worker.tasks.iter().map(task).collect::<Vec<_>>(),
        "committed": worker.committed,
        "failed": worker.failed,
        "pace": worker.pace.as_ref().map(pace),
    })
}

fn pace(pace: &Pace) -> Value {
    json!({"samples": pace.samples, "tasks_ms": pace.tasks_ms, "waited_ms": pace.waited_ms})
}

fn task(task: &TaskId) -> Value {
    let attempt = task.attempt.unwrap_or_default();
    json!({
        "audit": task.audit,
        "phase": task.phase,
        "shard": task.shard,
        "attempt": format!("{}.{}", attempt.term, attempt.counter),
    })
}

pub fn cluster(cluster: &ClusterReply) -> Value {
    let knobs = ascending(&cluster.knobs);
    json!({
        "leader": cluster.leader,
        "term": cluster.term,
        "release": cluster.release,
        "store": cluster.store,
        "knobs": knobs.iter().map(|knob| json!({"name": knob.name, "ms": knob.ms})).collect::<Vec<_>>(),
    })
}

fn known(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}
