//! One audit in full: its state and reason, its phases, and the shards that were given up.
//!
//! It must never say more of progress than was committed.

use std::time::Duration;

use lethe_common::time::Millis;
use lethe_proto::v1::{AuditView, PhaseView, RunState};

use super::table::{Align, Table, wrapped};
use super::words::{count, counted, kind, plain, state};
use super::{Page, notes, when};
use crate::follow::phase::spoken;

pub fn audit(view: &AuditView, page: Page) -> String {
    let mut text = wrapped(&head(view, page), 0, page.columns);
    if let Some(reason) = notes::of_audit(view) {
        text += &wrapped(&reason, 2, page.columns);
    }
    if !view.phases.is_empty() {
        text += &format!("\n{}", phases(view, page));
    }
    let lost = notes::of_quarantine(view);
    if !lost.is_empty() {
        text += "\nquarantined:\n";
        text += &lost.iter().map(|line| wrapped(line, 2, page.columns)).collect::<String>();
    }
    text
}

fn head(view: &AuditView, page: Page) -> String {
    let by = match (view.submitter.as_str(), when::ago(view.submitted_ms, page.now)) {
        ("", None) => None,
        ("", Some(ago)) => Some(format!("submitted {ago}")),
        (name, ago) => Some(format!("submitted by {} {}", plain(name), ago.unwrap_or_default())),
    };
    let ended = view.ended_ms != 0;
    let lasted = Millis(view.ended_ms).since_ms(Millis(view.submitted_ms));
    let took = ended.then(|| format!("took {}", spoken(Duration::from_millis(lasted))));
    let parts = [
        Some(format!("{}: {}", plain(&view.audit), state(view.state()))),
        (view.priority != 0).then(|| format!("priority {}", view.priority)),
        by,
        took.filter(|_| view.submitted_ms != 0),
        (!ended).then(|| counted(view.workers.into(), "worker")),
        (!view.rerun_of.is_empty()).then(|| format!("re-run of {}", plain(&view.rerun_of))),
    ];
    parts.into_iter().flatten().map(|part| part.trim().to_owned()).collect::<Vec<_>>().join(", ")
}

fn phases(view: &AuditView, page: Page) -> String {
    let heads = ["PHASE", "KIND", "STATE", "DONE", "", "TOOK"].map(|head| match head {
        "DONE" | "" | "TOOK" => (head, Align::Right),
        _ => (head, Align::Left),
    });
    let mut table = Table::new(heads);
    for phase in &view.phases {
        let cells = [
            plain(&phase.name),
            kind(phase.kind()).to_owned(),
            state(phase.state()).to_owned(),
            done(phase),
            share(phase),
            notes::took(phase, page),
        ];
        table.row(cells, notes::of_phase(phase, page));
    }
    table.text(page.columns)
}

/// Committed of all; nothing before anything is known to be done.
pub fn done(phase: &PhaseView) -> String {
    if phase.total == 0 { String::new() } else { format!("{}/{}", count(phase.done), count(phase.total)) }
}

/// The committed share, rounded down: 100 % means all.
pub fn share(phase: &PhaseView) -> String {
    match phase.state() {
        RunState::Pending => String::new(),
        RunState::Running
        | RunState::Paused
        | RunState::Failed
        | RunState::Cancelled
        | RunState::Succeeded
        | RunState::Unspecified => {
            phase.done.saturating_mul(100).checked_div(phase.total).map_or_else(String::new, |p| format!("{p} %"))
        }
    }
}
