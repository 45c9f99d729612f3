//! Audits as a list, in the order in which they are served.
//!
//! It must never reorder them: the coordinator's order is the queue.

use lethe_proto::v1::{AuditView, PhaseView, RunState};

use super::audit::{done, share};
use super::table::{Align, Table};
use super::words::{plain, state};
use super::{Page, notes, when};

/// Whether an audit will never run again.
pub fn ended(view: &AuditView) -> bool {
    match view.state() {
        RunState::Succeeded | RunState::Failed | RunState::Cancelled => true,
        RunState::Pending | RunState::Running | RunState::Paused | RunState::Unspecified => false,
    }
}

/// `hidden` ended ones were left out.
pub fn audits(views: &[AuditView], hidden: usize, page: Page) -> String {
    match (views.is_empty(), hidden) {
        (true, 0) => "no audits; submit one with lethe submit SPEC\n".to_owned(),
        (true, hidden) => format!("no audit runs or waits, {hidden} ended; see them with lethe list --all\n"),
        (false, 0) => table(views, page),
        (false, hidden) => format!("{}\n{hidden} more ended; see them with lethe list --all\n", table(views, page)),
    }
}

fn table(views: &[AuditView], page: Page) -> String {
    let left = ["AUDIT", "STATE", "PHASE"].map(|head| (head, Align::Left));
    let right = ["DONE", "", "PRIORITY"].map(|head| (head, Align::Right));
    let last = ["BY", "SUBMITTED"].map(|head| (head, Align::Left));
    let mut table = Table::new(left.into_iter().chain(right).chain(last));
    for view in views {
        let phase = current(view);
        let cells = [
            plain(&view.audit),
            state(view.state()).to_owned(),
            phase.map_or_else(String::new, |(index, phase)| {
                format!("{} ({index} of {})", plain(&phase.name), view.phases.len())
            }),
            phase.map_or_else(String::new, |(_, phase)| done(phase)),
            phase.map_or_else(String::new, |(_, phase)| share(phase)),
            if view.priority == 0 { String::new() } else { view.priority.to_string() },
            plain(&view.submitter),
            when::ago(view.submitted_ms, page.now).unwrap_or_default(),
        ];
        table.row(cells, notes(view, phase.map(|(_, phase)| phase), page));
    }
    table.text(page.columns)
}

/// The phase that it is at, with its place from 1; none where it is at its end.
fn current(view: &AuditView) -> Option<(u32, &PhaseView)> {
    let at = |state: RunState| view.phases.iter().position(move |phase| phase.state() == state);
    let states = [RunState::Failed, RunState::Running, RunState::Paused, RunState::Pending];
    let index = states.into_iter().find_map(at).filter(|_| view.state() != RunState::Succeeded)?;
    Some((u32::try_from(index + 1).unwrap_or(u32::MAX), &view.phases[index]))
}

/// Why it waits, else when it will be done.
fn notes(view: &AuditView, phase: Option<&PhaseView>, page: Page) -> Vec<String> {
    let running = |phase: &&PhaseView| phase.state() == RunState::Running && view.state() == RunState::Running;
    let phase = phase.filter(running);
    let waits = phase.filter(|phase| !phase.reason.is_empty());
    let waits = waits.map(|phase| format!("{} waits: {}", plain(&phase.name), plain(&phase.reason)));
    let eta = phase.and_then(|phase| Some(format!("{} {}", plain(&phase.name), when::eta(phase.eta_ms, page.now)?)));
    [notes::of_audit(view), waits, eta].into_iter().flatten().collect()
}
