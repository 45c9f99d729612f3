//! Each page and button: who may have it, and what it comes to.
//!
//! It must never answer a visitor who is not logged in with more than how to be.

use std::sync::Arc;

use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use futures::StreamExt;
use lethe_common::ids::AuditId;
use lethe_common::time::Millis;
use lethe_engine::AuditView;
use maud::{Markup, html};
use serde::Deserialize;
use tonic::{Code, Status};

use super::Pages;
use super::audit::Action;
use super::layout::{Script, page, who};
use super::sessions::Session;
use crate::api::limits::{FILE_WEIGHT, Held};
use crate::api::{Lead, fetch_result};
use crate::driver;

/// Ours alone: no script but our two, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";
/// The report is one file with its styles and pictures in it, and runs nothing.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
                             form-action 'none'; sandbox";
const REPORT: &str = "report.html";
const COOKIE: &str = "lethe-session";
/// A name that browsers accept over TLS alone, for this host alone.
const SECURE_COOKIE: &str = "__Host-lethe-session";

type Site = State<Arc<Pages>>;

/// A page that went wrong, in plain words.
pub(super) struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(code, why) = self;
        let main = html! { h1 { (code.canonical_reason().unwrap_or("Refused")) } p { (why) } };
        shown(code, &page("Refused", None, Script::None, &main))
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let code = match status.code() {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::FailedPrecondition | Code::AlreadyExists => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(code, status.message().to_owned())
    }
}

pub(super) fn shown(code: StatusCode, page: &Markup) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (code, headers, [(header::CACHE_CONTROL, "no-store")], page.0.clone()).into_response()
}

/// The cookie's text. Over TLS under its strict name alone, which no other host can set.
fn cookie<'a>(site: &Pages, headers: &'a HeaderMap) -> Option<&'a str> {
    let ours = if site.is_secure() { SECURE_COOKIE } else { COOKIE };
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == ours).map(|(_, value)| value)
}

impl FromRequestParts<Arc<Pages>> for Session {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Pages>) -> Result<Self, Refusal> {
        let found = cookie(site, &parts.headers).and_then(|cookie| site.sessions.find(cookie));
        let why = "You are not logged in. `lethe open` prints an address that logs you in, with the rights of your certificate or token.";
        found.ok_or_else(|| Refusal(StatusCode::UNAUTHORIZED, why.to_owned()))
    }
}

/// What a page takes of its visitor's room until it is taken in: a report a piece of a file, the suspects their marks.
fn weight(path: &str) -> u32 {
    match path.rsplit('/').next() {
        Some("report" | "review" | "marks") => FILE_WEIGHT,
        _ => 1,
    }
}

/// Keeps each visitor to the room that his calls have too. Strangers get next to nothing, and who has the token is trusted.
pub(super) async fn in_its_room(State(site): Site, request: Request, next: Next) -> Response {
    let session = cookie(&site, request.headers()).and_then(|cookie| site.sessions.find(cookie));
    let Some(session) = session else { return next.run(request).await };
    match site.room(&session.visitor.caller, weight(request.uri().path())) {
        Ok(place) => next.run(request).await.map(|body| Body::new(Held::new(body, place))),
        Err(full) => Refusal::from(full).into_response(),
    }
}

/// As a call of the wire would be let through or not.
pub(super) async fn lead(site: &Pages, session: &Session, call: &str) -> Result<Lead, Status> {
    session.visitor.caller.may_call(call)?;
    site.seat.lead().await
}

pub(super) fn id(audit: &str) -> Result<AuditId, Status> {
    AuditId::new(audit).map_err(|error| Status::not_found(error.to_string()))
}

pub(super) async fn status_of(lead: &Lead, audit: &str) -> Result<driver::Status, Status> {
    let watched = lead.driver.watch(id(audit)?).await.map_err(|e| Status::unavailable(e.to_string()))?;
    let watched = watched.ok_or_else(|| Status::not_found(format!("there is no audit {audit}")))?;
    let status = watched.borrow().clone();
    Ok(status)
}

pub(super) async fn overview(State(site): Site, session: Session) -> Result<Response, Refusal> {
    let lead = lead(&site, &session, "/lethe.v1.Audits/ListAudits").await?;
    let gone = |error: crate::driver::AskError| Status::unavailable(error.to_string());
    let audits = lead.driver.list().await.map_err(gone)?;
    let workers = lead.driver.workers().await.map_err(gone)?;
    let main = super::overview::overview(&audits, &workers, Millis::now());
    Ok(shown(StatusCode::OK, &page("Audits", Some(&session), Script::Live, &main)))
}

pub(super) async fn audit(State(site): Site, session: Session, Path(audit): Path<String>) -> Result<Response, Refusal> {
    let lead = lead(&site, &session, "/lethe.v1.Audits/GetAudit").await?;
    let status = status_of(&lead, &audit).await?;
    let main = super::audit::audit(&status, &session, Millis::now());
    let live = if status.is_final() { Script::None } else { Script::Live };
    Ok(shown(StatusCode::OK, &page(&audit, Some(&session), live, &main)))
}

pub(super) async fn report(
    State(site): Site,
    session: Session,
    Path(audit): Path<String>,
) -> Result<Response, Refusal> {
    let lead = lead(&site, &session, "/lethe.v1.Audits/FetchResult").await?;
    let view: AuditView = status_of(&lead, &audit).await?.view;
    let parts = fetch_result(&view, REPORT, &session.visitor.caller, &site.blobs)?;
    // Of the stream's parts the first is the list.
    let bytes = parts.filter_map(async |part| match part.map(|part| part.part) {
        Ok(Some(lethe_proto::v1::fetch_result_reply::Part::Chunk(chunk))) => Some(Ok(chunk)),
        Ok(Some(lethe_proto::v1::fetch_result_reply::Part::Files(_)) | None) => None,
        Err(status) => Some(Err(std::io::Error::other(status.message().to_owned()))),
    });
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, REPORT_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

#[derive(Deserialize)]
pub(super) struct OurForm {
    form: String,
}

/// What another site has a browser send lacks the form's secret.
pub(super) fn is_ours(session: &Session, form: &str) -> Result<(), Status> {
    match blake3::hash(form.as_bytes()) == blake3::hash(session.form.as_bytes()) {
        true => Ok(()),
        false => Err(Status::permission_denied("the form was not sent from these pages; go back and try again")),
    }
}

pub(super) async fn act(
    State(site): Site,
    session: Session,
    Path((audit, action)): Path<(String, String)>,
    Form(form): Form<OurForm>,
) -> Result<Redirect, Refusal> {
    is_ours(&session, &form.form)?;
    let action = Action::ALL.into_iter().find(|known| known.name() == action);
    let action = action.ok_or_else(|| Status::not_found("there is no such button"))?;
    let lead = lead(&site, &session, action.call()).await?;
    let status = status_of(&lead, &audit).await?;
    session.visitor.caller.may_change(&audit, &status.view.submitter)?;
    let by = session.visitor.name.clone();
    lead.driver.control(id(&audit)?, action.control(), by).await.map_err(|e| Status::unavailable(e.to_string()))?;
    Ok(Redirect::to(&format!("/audits/{audit}")))
}

#[derive(Deserialize)]
pub(super) struct Invitation {
    code: String,
}

/// A code is used up by the button and not by a look, which browsers and chats do on their own.
pub(super) async fn login(
    State(site): Site,
    Query(Invitation { code }): Query<Invitation>,
) -> Result<Response, Refusal> {
    let visitor = site.sessions.invited(&code).ok_or_else(used)?;
    let main = html! {
        h1 { "Log in" }
        p { "As " strong { (who(&visitor)) } "." }
        form method="post" action="/login" {
            input type="hidden" name="code" value=(code);
            button.primary autofocus { "Log in" }
        }
    };
    Ok(shown(StatusCode::OK, &page("Log in", None, Script::None, &main)))
}

pub(super) async fn log_in(
    State(site): Site,
    headers: HeaderMap,
    Form(Invitation { code }): Form<Invitation>,
) -> Result<Response, Refusal> {
    // Nobody is logged in as somebody else by another site's form. Browsers say where a form was; what is none need not.
    let from = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if from.is_some_and(|from| ![b"same-origin".as_slice(), b"none"].contains(&from)) {
        return Err(Status::permission_denied("this form was not sent from these pages").into());
    }
    let cookie = site.sessions.log_in(&code).ok_or_else(used)?;
    let (name, secure) = if site.is_secure() { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let text = format!("{name}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}");
    let value = HeaderValue::from_str(&text).expect("a secret is hexadecimal");
    Ok(([(header::SET_COOKIE, value)], Redirect::to("/")).into_response())
}

fn used() -> Refusal {
    let why = "This address was used already, or is older than two minutes. `lethe open` prints another.";
    Refusal(StatusCode::UNAUTHORIZED, why.to_owned())
}

pub(super) async fn log_out(
    State(site): Site,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<OurForm>,
) -> Result<Response, Refusal> {
    is_ours(&session, &form.form)?;
    cookie(&site, &headers).into_iter().for_each(|cookie| site.sessions.log_out(cookie));
    let main = html! { h1 { "Logged out" } p { code { "lethe open" } " logs you in again." } };
    Ok(shown(StatusCode::OK, &page("Logged out", None, Script::None, &main)))
}

pub(super) async fn nowhere() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "There is no such page.".to_owned())
}

pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css")).into_response()
}

pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("live.js")).into_response()
}
