//! A status as the message that clients watch.
//!
//! It must never fill a missing time with now; zero says that there is none yet.

use lethe_common::time::Millis;
use lethe_engine::{AuditState, PhaseState, PhaseView};
use lethe_proto::v1;

use super::wire::named;
use crate::driver::{Progress, Status};

pub(super) fn audit_view(status: Status) -> v1::AuditView {
    let (state, reason) = audit_state(status.view.state);
    let phases = status.view.phases.into_iter().zip(status.in_flight);
    v1::AuditView {
        audit: status.view.audit.into(),
        state: state.into(),
        reason,
        phases: phases.map(|(phase, in_flight)| phase_view(phase, in_flight)).collect(),
        workers: status.view.workers,
        ..v1::AuditView::default()
    }
}

fn audit_state(state: AuditState) -> (v1::RunState, String) {
    match state {
        AuditState::Running => (v1::RunState::Running, String::new()),
        AuditState::Succeeded { .. } => (v1::RunState::Succeeded, String::new()),
        AuditState::Failed { reason, .. } => (v1::RunState::Failed, reason),
        AuditState::Cancelled { .. } => (v1::RunState::Cancelled, String::new()),
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
        ..v1::PhaseView::default()
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
