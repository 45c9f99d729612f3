//! The review's requests: the page, a picture, and the marks that a person makes.
//!
//! It must never mark for a form that was not sent from these pages, nor in a table that is another by now.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use lethe_common::spec::{Pictures as Allowed, Spec};
use lethe_engine::AuditView;
use serde::Deserialize;
use serde_json::json;
use tonic::Status;

use super::order::{Wanted, selected};
use super::page::Review;
use crate::api::{Lead, mark_fault};
use crate::pages::Pages;
use crate::pages::handlers::{Refusal, id, is_ours, lead, shown, status_of};
use crate::pages::layout::{Script, page};
use crate::pages::sessions::Session;
use crate::review::{self as marks, Judgement, MarkError, Reviewed, Saying};

type Site = State<Arc<Pages>>;

/// The calls that looking and marking stand for.
const LOOK: &str = "/lethe.v1.Audits/ListMarks";
const MARK: &str = "/lethe.v1.Audits/MarkSuspects";
/// What a mark's button is called, beside the two judgements.
const NONE: &str = "none";

/// An audit whose suspects are looked at.
struct Looked {
    lead: Lead,
    view: AuditView,
    reviewed: Arc<Reviewed>,
    allowed: Allowed,
}

async fn look(site: &Pages, session: &Session, audit: &str, call: &str) -> Result<Looked, Refusal> {
    let lead = lead(site, session, call).await?;
    let view = status_of(&lead, audit).await?.view;
    let taken = site.shelf.take(&view, &site.blobs).await;
    let reviewed = taken.map_err(|error| mark_fault(MarkError::from(error)))?;
    let json = lead.driver.spec_json(id(audit)?).await.map_err(|e| Status::unavailable(e.to_string()))?;
    let spec: Spec = serde_json::from_str(&json.unwrap_or_default())
        .map_err(|e| Status::failed_precondition(format!("the spec of {audit} is not one this build reads: {e}")))?;
    Ok(Looked { lead, view, reviewed, allowed: spec.report.pictures })
}

fn may_change(session: &Session, view: &AuditView) -> Result<(), Status> {
    session.visitor.caller.may_call(MARK)?;
    session.visitor.caller.may_change(view.audit.as_str(), &view.submitter)
}

pub(super) async fn review(
    State(site): Site,
    session: Session,
    Path(audit): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refusal> {
    let Looked { lead, view, reviewed, allowed } = look(&site, &session, &audit, LOOK).await?;
    let marks = marks::marks_of(&view, &lead).await.map_err(mark_fault)?;
    // Of a large audit there are so many that others would wait for their order.
    let sorted = tokio::task::spawn_blocking({
        let (reviewed, wanted) = (Arc::clone(&reviewed), wanted.clone());
        move || (selected(&reviewed, &marks, &wanted), marks)
    });
    let (numbers, marks) = sorted.await.map_err(|panic| Status::internal(panic.to_string()))?;
    let review = Review {
        audit: &audit,
        session: &session,
        reviewed: &reviewed,
        marks: &marks,
        wanted: &wanted,
        numbers: &numbers,
        allowed,
        may_change: may_change(&session, &view).is_ok(),
    };
    site.pictures.expect(reviewed.of, review.shown());
    let main = super::page::review(&review);
    Ok(shown(StatusCode::OK, &page(&format!("Suspects of {audit}"), Some(&session), Script::Review, &main)))
}

#[derive(Deserialize)]
pub(super) struct Look {
    blur: Option<String>,
}

pub(super) async fn picture(
    State(site): Site,
    session: Session,
    Path((audit, number)): Path<(String, usize)>,
    Query(Look { blur }): Query<Look>,
) -> Result<Response, Refusal> {
    let Looked { lead, view, reviewed, allowed } = look(&site, &session, &audit, LOOK).await?;
    let blurred = match allowed {
        Allowed::Show => blur.is_some(),
        Allowed::Blur => true,
        Allowed::None => return Err(Status::permission_denied("this audit's spec leaves pictures out").into()),
    };
    let room = || site.room(&session.visitor.caller, 1);
    let png = site.pictures.take((&lead, &view, &room), &reviewed, number, blurred).await?;
    let headers = [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, png).into_response())
}

/// What a form of suspects says, field by field: a button's name is the judgement, its value the suspect's number.
type Fields = Vec<(String, String)>;

fn field<'f>(fields: &'f Fields, name: &str) -> &'f str {
    fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

fn sayings(fields: &Fields, reviewed: &Reviewed) -> Result<Vec<Saying>, Status> {
    let mut sayings = Vec::new();
    for (name, value) in fields {
        let judgement = match name.as_str() {
            NONE => None,
            name => match [Judgement::Poison, Judgement::Clean].into_iter().find(|known| known.as_str() == name) {
                Some(judgement) => Some(judgement),
                None => continue,
            },
        };
        let number = value.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let row = number.and_then(|at| reviewed.suspects.rows.get(at));
        let row = row.ok_or_else(|| Status::invalid_argument(format!("there is no suspect {value:?}")))?;
        let (key, content) = (row.key.clone(), row.content.clone());
        sayings.push(Saying { shard: row.shard, key, content, judgement });
    }
    Ok(sayings)
}

pub(super) async fn mark(
    State(site): Site,
    session: Session,
    Path(audit): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Refusal> {
    is_ours(&session, field(&fields, "form"))?;
    // Whose it is comes before what there is to see.
    let asked = lead(&site, &session, MARK).await?;
    may_change(&session, &status_of(&asked, &audit).await?.view)?;
    let Looked { lead, view, reviewed, .. } = look(&site, &session, &audit, MARK).await?;
    if field(&fields, "of") != reviewed.of.to_hex() {
        return Err(Status::failed_precondition("the suspects are others by now; load the page again").into());
    }
    let sayings = sayings(&fields, &reviewed)?;
    let at = fields.iter().rev().find(|(name, _)| ["poison", "clean", NONE].contains(&name.as_str()));
    let at = at.map(|(_, number)| format!("#s{number}")).unwrap_or_default();
    let by = &session.visitor.name;
    let kept = marks::mark((&lead, &view), &reviewed.suspects, sayings, by).await;
    let (kept, _) = kept.map_err(mark_fault)?;
    let wants_json = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == b"application/json");
    if wants_json {
        let [poison, clean] = [Judgement::Poison, Judgement::Clean].map(|judgement| kept.count(judgement));
        let text = json!({ "poison": poison, "clean": clean }).to_string();
        return Ok(
            ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], text).into_response()
        );
    }
    // Within this audit's pages, whatever the form says: it is a query and nothing else.
    let back: String = field(&fields, "back").chars().filter(|c| !c.is_control() && *c != '#').collect();
    Ok(Redirect::to(&format!("/audits/{audit}/review?{back}{at}")).into_response())
}

pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("review.js")).into_response()
}
