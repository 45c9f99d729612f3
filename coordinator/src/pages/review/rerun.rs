//! Running an audit again from its marks: what will happen, and the button that does it.
//!
//! It must never begin anything for a look.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use lethe_common::ids::AuditId;
use lethe_engine::{AuditView, PhaseState};
use maud::{Markup, html};
use serde::Deserialize;
use tonic::Status;

use crate::api::{mark_fault, rerun as run_again};
use crate::driver::Rerun;
use crate::pages::Pages;
use crate::pages::handlers::{Refusal, id, is_ours, lead, shown, status_of};
use crate::pages::layout::{Script, page};
use crate::pages::sessions::Session;
use crate::report::plural;
use crate::review::{Judgement, Marks, marks_of, next_free};

type Site = State<Arc<Pages>>;

const CALL: &str = "/lethe.v1.Audits/RerunAudit";
/// The first phase that heeds marks.
const FROM: &str = "select";

pub(super) async fn ask(State(site): Site, session: Session, Path(audit): Path<String>) -> Result<Response, Refusal> {
    let lead = lead(&site, &session, CALL).await?;
    let view = status_of(&lead, &audit).await?.view;
    session.visitor.caller.may_change(&audit, &view.submitter)?;
    let marks = marks_of(&view, &lead).await.map_err(mark_fault)?;
    let taken = lead.driver.list().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let next = next_free(&audit, taken.iter().map(|status| status.view.audit.as_str()));
    let main = asked(&view, &marks, &next, &session);
    Ok(shown(StatusCode::OK, &page(&format!("Run {audit} again"), Some(&session), Script::None, &main)))
}

fn asked(view: &AuditView, marks: &Marks, next: &str, session: &Session) -> Markup {
    let [poison, clean] = [Judgement::Poison, Judgement::Clean].map(|judgement| marks.count(judgement));
    let before = view.phases.iter().take_while(|phase| phase.name != FROM);
    let (ready, before) = (before.clone().all(|phase| matches!(phase.state, PhaseState::Done { .. })), before.count());
    let again: Vec<&str> = view.phases.iter().skip(before).map(|phase| phase.name.as_str()).collect();
    html! {
        p { a href={ "/audits/" (view.audit) "/review" } { "Suspects of " (view.audit) } }
        h1 { "Run " (view.audit) " again from its marks" }
        @if !ready || again.is_empty() {
            p.empty { "It has not come as far as " code { (FROM) } ", so that there is nothing to run again from." }
        } @else {
            ul {
                li { "A new audit, " strong { (next) } ", takes over what " (view.audit) " found before its phase " code { (FROM) } ", and runs the rest: " (again.join(", ")) "." }
                @if poison + clean == 0 { li { strong { "Nobody has marked anything" } ", so that it comes to the same." } }
                @if poison > 0 { li { (plural(poison, "suspect")) " marked as poison will be dropped and forgotten, even where no shortcut is found behind them." } }
                @if clean > 0 { li { (plural(clean, "suspect")) " marked as clean will be neither." } }
                li { "The other suspects are chosen anew among each other." }
                li { (view.audit) " stays as it is, and so does what it delivered. Marks that are made from here on do not reach the new one." }
                @if view.unapproved { li { "The new one asks for a person’s approval too." } }
            }
            form method="post" action={ "/audits/" (view.audit) "/rerun" } {
                input type="hidden" name="form" value=(session.form);
                input type="hidden" name="next" value=(next);
                button.primary { "Run again" }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    form: String,
    /// As the page said it, so that the same button pressed twice is one audit.
    next: String,
}

pub(super) async fn run(
    State(site): Site,
    session: Session,
    Path(audit): Path<String>,
    Form(Asked { form, next }): Form<Asked>,
) -> Result<Redirect, Refusal> {
    is_ours(&session, &form)?;
    let lead = lead(&site, &session, CALL).await?;
    let view = status_of(&lead, &audit).await?.view;
    session.visitor.caller.may_change(&audit, &view.submitter)?;
    let rerun = Rerun {
        audit: AuditId::new(&next).map_err(|error| Status::invalid_argument(error.to_string()))?,
        of: id(&audit)?,
        from: FROM.to_owned(),
        spec: None,
        submitter: session.visitor.name.clone(),
        priority: view.priority,
        trace: None,
    };
    let status = run_again(&lead, &site.places, rerun).await?;
    Ok(Redirect::to(&format!("/audits/{}", status.view.audit)))
}
