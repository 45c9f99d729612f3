//! A status as the message that clients watch.
//!
//! It must never fill a missing time with now; zero says that there is none yet.

use lethe_common::time::Millis;
use lethe_engine::{
    AuditState, AuditView, Conclusion, Control, Deed, Marked, PhaseState, PhaseView, QuarantineView, What, WorkerView,
};
use lethe_proto::v1;

use super::wire::named;
use crate::driver::{Greeting, Pace, Progress, Status};

pub(super) fn audit_view(status: Status) -> v1::AuditView {
    let Status { view, in_flight } = status;
    let (state, ended) = audit_state(&view);
    let phases = view.phases.into_iter().zip(in_flight);
    v1::AuditView {
        audit: view.audit.into(),
        state: state.into(),
        reason: view.reason,
        phases: phases.map(|(phase, in_flight)| phase_view(phase, in_flight)).collect(),
        workers: view.workers,
        priority: view.priority,
        submitter: view.submitter,
        queue_position: view.queue_position.unwrap_or(0),
        submitted_ms: view.submitted.0,
        ended_ms: ended.map_or(0, |at| at.0),
        rerun_of: view.rerun_of.map_or_else(String::new, String::from),
        quarantined: view.quarantined.into_iter().map(quarantined).collect(),
        awaits_approval: view.awaits_approval,
        conclusion: view.conclusion.map(|Conclusion { verdict, headline }| v1::Conclusion { verdict, headline }),
        history: view.deeds.into_iter().map(deed).collect(),
    }
}

fn deed(Deed { at, by, what }: Deed) -> v1::Deed {
    v1::Deed { at_ms: at.0, by, what: done(&what) }
}

/// What a person did, in a word or a few.
pub(crate) fn done(what: &What) -> String {
    match what {
        What::Submitted => "submitted".to_owned(),
        What::Controlled(Control::Pause) => "paused".to_owned(),
        What::Controlled(Control::Resume) => "resumed".to_owned(),
        What::Controlled(Control::Approve) => "approved".to_owned(),
        What::Controlled(Control::Cancel) => "cancelled".to_owned(),
        What::Marked(marked) => sitting(*marked),
    }
}

/// "marked 12 as poison and 3 as clean, took back 1".
fn sitting(Marked { poison, clean, taken_back }: Marked) -> String {
    let marked = [(poison, "poison"), (clean, "clean")].into_iter().filter(|(count, _)| *count > 0);
    let marked: Vec<String> = marked.map(|(count, what)| format!("{count} as {what}")).collect();
    let marked = (!marked.is_empty()).then(|| format!("marked {}", marked.join(" and ")));
    let taken_back = (taken_back > 0).then(|| format!("took back {taken_back}"));
    let all: Vec<String> = marked.into_iter().chain(taken_back).collect();
    if all.is_empty() { "marked nothing new".to_owned() } else { all.join(", ") }
}

fn audit_state(view: &AuditView) -> (v1::RunState, Option<Millis>) {
    match view.state {
        AuditState::Running if view.paused.is_some() => (v1::RunState::Paused, None),
        AuditState::Running if view.queue_position.is_some() => (v1::RunState::Pending, None),
        AuditState::Running => (v1::RunState::Running, None),
        AuditState::Succeeded { at } => (v1::RunState::Succeeded, Some(at)),
        AuditState::Failed { at, .. } => (v1::RunState::Failed, Some(at)),
        AuditState::Cancelled { at } => (v1::RunState::Cancelled, Some(at)),
    }
}

fn quarantined(shard: QuarantineView) -> v1::Quarantined {
    v1::Quarantined { phase: shard.phase.0, shard: shard.shard.0, tries: shard.tries, reason: shard.reason }
}

pub(super) fn worker_view(view: WorkerView, greeting: Greeting) -> v1::WorkerView {
    v1::WorkerView {
        worker: view.worker.into(),
        host: greeting.host,
        device: greeting.device,
        memory_bytes: greeting.memory_bytes,
        release: greeting.release,
        wire_version: greeting.version,
        slots: view.slots,
        tasks: view.tasks.into_iter().map(Into::into).collect(),
        state: view.state.to_owned(),
        reason: view.reason,
        since_ms: view.joined.0,
        committed: view.committed,
        failed: view.failed,
        pace: greeting.pace.map(|Pace { samples, tasks_ms, waited_ms }| v1::Pace { samples, tasks_ms, waited_ms }),
    }
}

fn phase_view(phase: PhaseView, in_flight: Progress) -> v1::PhaseView {
    let (state, ended, failure) = phase_state(phase.state);
    v1::PhaseView {
        name: phase.name,
        kind: phase_kind(phase.kind).into(),
        state: state.into(),
        done: phase.done,
        total: phase.total,
        in_flight_done: in_flight.done,
        in_flight_total: in_flight.total,
        started_ms: phase.started.map_or(0, |at| at.0),
        ended_ms: ended.map_or(0, |at| at.0),
        retries: phase.retries,
        counts: Some(v1::Counts { read: phase.counts.read, scored: phase.counts.scored, failed: phase.counts.failed }),
        reason: failure.unwrap_or(phase.reason),
        outputs: named(phase.outputs),
        eta_ms: phase.eta.map_or(0, |at| at.0),
        quarantined: phase.quarantined,
        late: phase.tally.late,
        speculated: phase.tally.speculated,
        checked: phase.tally.checked,
        mismatched: phase.tally.mismatched,
        notes: phase.notes,
    }
}

fn phase_state(state: PhaseState) -> (v1::RunState, Option<Millis>, Option<String>) {
    match state {
        PhaseState::Waiting => (v1::RunState::Pending, None, None),
        PhaseState::Running => (v1::RunState::Running, None, None),
        PhaseState::Done { at } => (v1::RunState::Succeeded, Some(at), None),
        PhaseState::Failed { at, reason } => (v1::RunState::Failed, Some(at), Some(reason)),
    }
}

fn phase_kind(kind: &str) -> v1::PhaseKind {
    match kind {
        "map" => v1::PhaseKind::Map,
        "reduce" => v1::PhaseKind::Reduce,
        "gang" => v1::PhaseKind::Gang,
        _ => v1::PhaseKind::Unspecified,
    }
}
