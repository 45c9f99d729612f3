//! The first page: the audits as they are served, and the fleet.
//!
//! It must never list more than a screenful of what has ended.

use lethe_common::time::Millis;
use lethe_engine::{AuditState, AuditView, PhaseState, WorkerView};
use lethe_evidence::artifacts::Verdict;
use maud::{Markup, html};

use super::layout::{badge, bar, lasted, time};
use crate::driver::{Greeting, Pace, Status};

/// Ended audits that are shown; `lethe list --all` has the rest.
const MOST_ENDED: usize = 50;

pub(super) fn overview(audits: &[Status], workers: &[(WorkerView, Greeting)], now: Millis) -> Markup {
    let is_ended = |status: &&Status| status.is_final();
    let ended = audits.iter().filter(is_ended).count();
    html! {
        h1 { "Audits" }
        @if audits.is_empty() {
            p.empty { "There are none. " code { "lethe submit audit.toml" } " hands one in." }
        } @else {
            table {
                thead { tr { th { "audit" } th { "state" } th { "now" } th { "by" } th.number { "priority" } th { "submitted" } } }
                tbody {
                    @for status in audits.iter().filter(|s| !s.is_final()).chain(audits.iter().filter(is_ended).take(MOST_ENDED)) {
                        (row(&status.view))
                    }
                }
            }
            @if ended > MOST_ENDED { p { (ended - MOST_ENDED) " more have ended; " code { "lethe list --all" } " has them." } }
        }
        h1 { "Workers" }
        @if workers.is_empty() {
            p.empty { "None is connected, so that nothing runs. " code { "lethe-worker --coordinator ..." } " starts one." }
        } @else {
            table {
                thead { tr { th { "worker" } th { "state" } th { "host" } th { "device" } th { "holds" } th.number { "committed" } th.number { "failed" } th.number { "samples/s" } th { "joined" } } }
                tbody { @for (worker, greeting) in workers { (fleet_row(worker, greeting, now)) } }
            }
        }
    }
}

fn row(view: &AuditView) -> Markup {
    html! {
        tr {
            td { a href={ "/audits/" (view.audit) } { (view.audit) } }
            td { (badge(state(view))) }
            td { (what_now(view)) }
            td { (view.submitter) }
            td.number { (view.priority) }
            td { (time(view.submitted)) }
        }
    }
}

/// In one word.
pub(super) fn state(view: &AuditView) -> &'static str {
    match view.state {
        AuditState::Running if view.awaits_approval => "awaits approval",
        AuditState::Running if view.paused.is_some() => "paused",
        AuditState::Running if view.queue_position.is_some() => "waiting",
        AuditState::Running => "running",
        AuditState::Succeeded { .. } => "succeeded",
        AuditState::Failed { .. } => "failed",
        AuditState::Cancelled { .. } => "cancelled",
    }
}

/// The phase that runs, or why none does.
fn what_now(view: &AuditView) -> Markup {
    let running = view.phases.iter().find(|phase| phase.state == PhaseState::Running);
    html! {
        @match running {
            Some(phase) if view.reason.is_empty() => {
                (phase.name) " "
                (bar(phase.done, phase.total, "tasks or steps"))
                @if !phase.reason.is_empty() { p.reason { (phase.reason) } }
            }
            Some(_) | None => { (told(view)) }
        }
    }
}

/// What it came to where that is known, and why it does not run.
pub(super) fn told(view: &AuditView) -> String {
    let headline = view.conclusion.as_ref().map(|said| {
        Verdict::parse(&said.verdict).map_or_else(|| said.headline.clone(), |verdict| verdict.beside(&said.headline))
    });
    let place = view.queue_position.map(|place| format!("{place}. in the queue"));
    let why = match &view.state {
        AuditState::Failed { reason, .. } => reason.clone(),
        AuditState::Running | AuditState::Succeeded { .. } | AuditState::Cancelled { .. } => view.reason.clone(),
    };
    let parts = headline.into_iter().chain(place).chain([why]).filter(|text| !text.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}

fn fleet_row(worker: &WorkerView, greeting: &Greeting, now: Millis) -> Markup {
    let rate = |pace: &Pace| pace.samples.saturating_mul(1_000) / pace.tasks_ms.max(1);
    html! {
        tr {
            td { (worker.worker) }
            td { (badge(worker.state)) @if !worker.reason.is_empty() { p.reason { (worker.reason) } } }
            td { (greeting.host) }
            td { (greeting.device) }
            td {
                @match worker.tasks.first() {
                    Some(task) => { (task.audit) @if worker.tasks.len() > 1 { ", " (worker.tasks.len()) " tasks" } }
                    None => { "nothing" }
                }
            }
            td.number { (crate::report::count(worker.committed)) }
            td.number { (crate::report::count(worker.failed)) }
            td.number { @if let Some(pace) = &greeting.pace { (crate::report::count(rate(pace))) } }
            td { (lasted(worker.joined, now)) " ago" }
        }
    }
}
