//! What is worth saying of an audit or a phase beside its figures.
//!
//! It must never leave a state that is not running without its reason, nor mention what did not happen.

use lethe_proto::v1::{AuditView, PhaseView, Quarantined, RunState};

use super::words::{count, counted, ordinal, plain, reason};
use super::{Page, when};
use crate::follow::phase::{elapsed, rate, spoken};
use crate::outcome::Outcome;

/// Quarantined shards that are listed; the others are counted.
const LISTED: usize = 5;

/// What an audit came to, where that is known, and why it does not run, where it does not.
pub fn of_audit(view: &AuditView) -> Option<String> {
    let came_to = came_to(view);
    let place = (view.queue_position > 0).then(|| format!("{} in the queue", ordinal(view.queue_position)));
    let why = match view.state() {
        RunState::Succeeded => return came_to,
        RunState::Running if view.reason.is_empty() => return came_to.or(place),
        RunState::Failed if view.reason.is_empty() => failed_phase(view).unwrap_or_else(|| reason("")),
        RunState::Running
        | RunState::Pending
        | RunState::Paused
        | RunState::Failed
        | RunState::Cancelled
        | RunState::Unspecified => reason(&view.reason),
    };
    Some(came_to.into_iter().chain(place).chain([why]).collect::<Vec<_>>().join(": "))
}

/// The report's headline, with its verdict where one might go on all the same.
pub fn came_to(view: &AuditView) -> Option<String> {
    let headline = plain(&view.conclusion.as_ref()?.headline);
    match Outcome::of(view) {
        Outcome::Verdict(verdict) => Some(verdict.beside(&headline)),
        Outcome::Without | Outcome::Unknown => Some(headline),
    }
}

fn failed_phase(view: &AuditView) -> Option<String> {
    let failed = view.phases.iter().find(|phase| phase.state() == RunState::Failed)?;
    Some(format!("{}: {}", plain(&failed.name), reason(&failed.reason)))
}

/// How a phase gets on, what it cost, and why it does not run, each on a line of its own.
pub fn of_phase(phase: &PhaseView, page: Page) -> Vec<String> {
    let why = match phase.state() {
        RunState::Succeeded => None,
        // A phase that runs may still wait, such as for workers.
        RunState::Running => (!phase.reason.is_empty()).then(|| plain(&phase.reason)),
        RunState::Pending | RunState::Paused | RunState::Failed | RunState::Cancelled | RunState::Unspecified => {
            Some(reason(&phase.reason))
        }
    };
    let pace = [when::eta(phase.eta_ms, page.now), pace(phase, page)];
    let pace = joined(pace.into_iter().flatten()).filter(|_| phase.state() == RunState::Running);
    [why, pace, joined(troubles(phase))].into_iter().flatten().collect()
}

fn pace(phase: &PhaseView, page: Page) -> Option<String> {
    rate(phase, page.now).or_else(|| {
        let within = phase.in_flight_total > 0;
        within.then(|| format!("{} of {} in flight", count(phase.in_flight_done), count(phase.in_flight_total)))
    })
}

/// What went otherwise than planned, where it did.
fn troubles(phase: &PhaseView) -> Vec<String> {
    let unread = phase.counts.map_or(0, |counts| counts.failed);
    let many = |number: u64, one: &str, more: &str| {
        (number > 0).then(|| format!("{} {}", count(number), if number == 1 { one } else { more }))
    };
    let checked = (phase.checked > 0).then(|| match phase.mismatched {
        0 => format!("{} checked twice, all equal", counted(phase.checked, "shard")),
        differ => format!("{} checked twice, {} DIFFERED", counted(phase.checked, "shard"), count(differ)),
    });
    let told = [
        // The one that asks for somebody to look comes first.
        checked,
        many(phase.retries, "retry", "retries"),
        many(phase.quarantined, "shard quarantined", "shards quarantined"),
        many(unread, "sample unreadable", "samples unreadable"),
        many(phase.speculated, "second copy leased", "second copies leased"),
        many(phase.late, "late result dropped", "late results dropped"),
    ];
    told.into_iter().flatten().collect()
}

fn joined(parts: impl IntoIterator<Item = String>) -> Option<String> {
    let text = parts.into_iter().collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

/// The first quarantined shards with their reasons, and how many more there are.
pub fn of_quarantine(view: &AuditView) -> Vec<String> {
    let all: u64 = view.phases.iter().map(|phase| phase.quarantined).sum();
    let all = all.max(view.quarantined.len() as u64);
    let first: Vec<String> = view.quarantined.iter().take(LISTED).map(|lost| quarantined(lost, view)).collect();
    let more = all - first.len() as u64;
    let rest = (more > 0).then(|| format!("and {} more: lethe show {} --output json", count(more), view.audit));
    first.into_iter().chain(rest).collect()
}

fn quarantined(lost: &Quarantined, view: &AuditView) -> String {
    let phase = phase_name(view, lost.phase);
    let tries = if lost.tries == 1 { "1 try".to_owned() } else { format!("{} tries", lost.tries) };
    format!("{phase} shard {} after {tries}: {}", lost.shard, reason(&lost.reason))
}

/// A phase by its place in the plan.
pub fn phase_name(view: &AuditView, index: u32) -> String {
    let phase = usize::try_from(index).ok().and_then(|index| view.phases.get(index));
    phase.map_or_else(|| format!("phase {index}"), |phase| plain(&phase.name))
}

/// `4 min 10 s`, from start to end or to now.
pub fn took(phase: &PhaseView, page: Page) -> String {
    elapsed(phase, page.now).map(spoken).unwrap_or_default()
}
