//! One audit: where it is, what was lost, who did what to it, and what can be done.
//!
//! It must never offer what the visitor may not do.

use lethe_common::time::Millis;
use lethe_engine::{AuditState, AuditView, Control, Deed, PhaseState, PhaseView, QuarantineView};
use maud::{Markup, html};

use super::layout::{badge, bar, lasted, time};
use super::overview::{state, told};
use super::sessions::Session;
use crate::api::done;
use crate::driver::Status;
use crate::review::Suspects;

/// What a visitor can do to an audit, as its buttons are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Approve,
    Pause,
    Resume,
    Cancel,
}

impl Action {
    pub const ALL: [Self; 4] = [Self::Approve, Self::Pause, Self::Resume, Self::Cancel];

    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }

    pub fn control(self) -> Control {
        match self {
            Self::Approve => Control::Approve,
            Self::Pause => Control::Pause,
            Self::Resume => Control::Resume,
            Self::Cancel => Control::Cancel,
        }
    }

    /// The call that a button stands for.
    pub fn call(self) -> &'static str {
        match self {
            Self::Approve => "/lethe.v1.Audits/ApproveAudit",
            Self::Pause => "/lethe.v1.Audits/PauseAudit",
            Self::Resume => "/lethe.v1.Audits/ResumeAudit",
            Self::Cancel => "/lethe.v1.Audits/CancelAudit",
        }
    }

    /// Whether it would change anything now.
    fn fits(self, view: &AuditView) -> bool {
        let runs = view.state == AuditState::Running;
        runs && match self {
            Self::Approve => view.awaits_approval,
            Self::Pause => view.paused.is_none(),
            Self::Resume => view.paused.is_some(),
            Self::Cancel => true,
        }
    }

    fn is_allowed(self, session: &Session, view: &AuditView) -> bool {
        let caller = &session.visitor.caller;
        caller.may_call(self.call()).is_ok() && caller.may_change(view.audit.as_str(), &view.submitter).is_ok()
    }
}

pub(super) fn audit(status: &Status, session: &Session, now: Millis) -> Markup {
    let view = &status.view;
    let actions = Action::ALL.into_iter().filter(|action| action.fits(view) && action.is_allowed(session, view));
    let has_report = view.phases.iter().any(|phase| phase.outputs.iter().any(|output| output.name == "report.html"));
    html! {
        p { a href="/" { "All audits" } }
        h1 { (view.audit) " " (badge(state(view))) }
        @if !told(view).is_empty() { p.reason { (told(view)) } }
        @if has_report { p { a.report href={ "/audits/" (view.audit) "/report" } { "The report" } } }
        @if Suspects::blob(view).is_some() { p { a.review href={ "/audits/" (view.audit) "/review" } { "Its suspects, to look at and to mark" } } }
        @for action in actions {
            form.act method="post" action={ "/audits/" (view.audit) "/" (action.name()) } {
                input type="hidden" name="form" value=(session.form);
                button class=(action.name()) { (action.name()) }
            }
        }
        h2 { "Phases" }
        table {
            thead { tr { th { "phase" } th { "state" } th { "done" } th.number { "took" } th.number { "samples" } th.number { "retries" } th.number { "lost shards" } } }
            tbody { @for phase in &view.phases { (phase_row(phase, now)) } }
        }
        @if !view.quarantined.is_empty() { (quarantine(&view.quarantined, view)) }
        h2 { "History" }
        ol.history { @for deed in &view.deeds { li { (deed_line(deed)) } } }
        @if let Some(of) = &view.rerun_of { p { "It took over results of " a href={ "/audits/" (of) } { (of) } "." } }
    }
}

fn phase_row(phase: &PhaseView, now: Millis) -> Markup {
    let (word, ended) = match &phase.state {
        PhaseState::Waiting => ("waiting", None),
        PhaseState::Running => ("running", Some(now)),
        PhaseState::Done { at } => ("done", Some(*at)),
        PhaseState::Failed { at, .. } => ("failed", Some(*at)),
    };
    html! {
        tr {
            td { (phase.name) }
            td {
                (badge(word))
                // That a phase waits for the one before goes without saying.
                @if !phase.reason.is_empty() && phase.state != PhaseState::Waiting { p.reason { (phase.reason) } }
                @for note in &phase.notes { p.reason { (note) } }
            }
            td { @if phase.state != PhaseState::Waiting { (bar(phase.done, phase.total, "tasks or steps")) } }
            td.number { @if let (Some(started), Some(ended)) = (phase.started, ended) { (lasted(started, ended)) } }
            td.number { @if phase.counts.read > 0 { (crate::report::count(phase.counts.read)) } }
            td.number { @if phase.retries > 0 { (phase.retries) } }
            td.number { @if phase.quarantined > 0 { (phase.quarantined) } }
        }
    }
}

fn quarantine(lost: &[QuarantineView], view: &AuditView) -> Markup {
    let phase =
        |shard: &QuarantineView| view.phases.get(shard.phase.0 as usize).map_or("", |phase| phase.name.as_str());
    html! {
        h2 { "Shards given up" }
        table {
            thead { tr { th { "phase" } th.number { "shard" } th.number { "tries" } th { "why" } } }
            tbody {
                @for shard in lost {
                    tr { td { (phase(shard)) } td.number { (shard.shard.0) } td.number { (shard.tries) } td { (shard.reason) } }
                }
            }
        }
    }
}

fn deed_line(Deed { at, by, what }: &Deed) -> Markup {
    html! { (time(*at)) " " (done(what)) @if !by.is_empty() { " by " (by) } }
}
