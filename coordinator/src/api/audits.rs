//! The service for clients: submit, look, watch, cancel.
//!
//! It must never start an audit whose spec this build does not understand whole.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use lethe_common::blob::BlobStore;
use lethe_common::ids::AuditId;
use lethe_common::spec::Spec;
use lethe_common::time::Millis;
use lethe_engine::{AuditState, Control, Knobs, What};
use lethe_proto::v1;
use lethe_telemetry::Trace;
use lethe_tls::Peer;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::places::Places;
use super::seat::Seat;
use super::status::{audit_view, worker_view};
use super::{faults, results, wire};
use crate::driver::{self, Rerun, Submission};
use crate::pages::{Sessions, Visitor};
use crate::review::{self, Judgement, Shelf};

/// Views a slow watcher may lag behind; the newest is always the next it gets.
const MAX_QUEUED_VIEWS: usize = 2;

/// What does not change while a coordinator runs.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    /// Where this coordinator is reached.
    pub address: String,
    pub store: String,
    pub knobs: Knobs,
}

pub struct AuditsApi {
    seat: Seat,
    facts: ClusterFacts,
    blobs: BlobStore,
    places: Places,
    /// Where the pages are reached, and who is logged in.
    pages: Option<(String, Sessions)>,
    /// The same as the pages', where there are some.
    shelf: Shelf,
}

type Service = v1::audits_server::AuditsServer<AuditsApi>;

impl AuditsApi {
    /// The service, which must stand behind a gate.
    pub fn service(
        seat: Seat,
        facts: ClusterFacts,
        blobs: BlobStore,
        (places, pages, shelf): (Places, Option<(String, Sessions)>, Shelf),
    ) -> Service {
        Service::new(Self { seat, facts, blobs, places, pages, shelf })
            .max_decoding_message_size(super::limits::MAX_PERSON_MESSAGE_BYTES)
            .max_encoding_message_size(super::MAX_MESSAGE_BYTES)
    }

    async fn watch(&self, audit: &str) -> Result<watch::Receiver<driver::Status>, Status> {
        let audit = AuditId::new(audit).map_err(faults::bad_request)?;
        let driver = self.seat.lead().await?.driver;
        driver.watch(audit.clone()).await.map_err(faults::ask)?.ok_or_else(|| faults::unknown(&audit))
    }

    async fn control(
        &self,
        caller: &Caller,
        (audit, by): (&str, String),
        control: Control,
    ) -> Result<driver::Status, Status> {
        self.may_change(caller, audit).await?;
        let audit = AuditId::new(audit).map_err(faults::bad_request)?;
        let by = named(&caller.name(by))?;
        let driver = self.seat.lead().await?.driver;
        let status = driver.control(audit.clone(), control, by).await.map_err(faults::ask)?;
        status.ok_or_else(|| faults::unknown(&audit))
    }

    async fn may_change(&self, caller: &Caller, audit: &str) -> Result<(), Status> {
        let submitter = self.watch(audit).await?.borrow().view.submitter.clone();
        caller.may_change(audit, &submitter)
    }
}

/// The caller's place in a trace; one that is not well-formed is none, since calls are not refused for it.
fn trace<T>(request: &Request<T>) -> Option<Trace> {
    request.metadata().get(Trace::HEADER)?.to_str().ok()?.parse().ok()
}

fn submission(request: v1::SubmitRequest, (caller, trace): (&Caller, Option<Trace>)) -> Result<Submission, Status> {
    let spec = read_spec(&request.spec_json)?;
    if spec.audit.id.as_str() != request.audit {
        let text =
            format!("audit {:?} carries the spec of {:?}; expected one id", request.audit, spec.audit.id.as_str());
        return Err(faults::bad_request(text));
    }
    // Written anew, so that the same spec is the same text whatever its client's spaces and order.
    let spec_json = serde_json::to_string(&spec).map_err(faults::bad_request)?;
    let (submitter, priority) = asked(caller.name(request.submitter), request.priority)?;
    Ok(Submission { spec: Box::new(spec), spec_json, submitter, priority, trace })
}

fn rerun(request: v1::RerunAuditRequest, (caller, trace): (&Caller, Option<Trace>)) -> Result<Rerun, Status> {
    let (submitter, priority) = asked(caller.name(request.submitter), request.priority)?;
    let spec = match request.spec_json.is_empty() {
        true => None,
        false => Some(Box::new(read_spec(&request.spec_json)?)),
    };
    Ok(Rerun {
        audit: AuditId::new(&request.audit).map_err(faults::bad_request)?,
        of: AuditId::new(&request.of).map_err(faults::bad_request)?,
        from: request.from_phase,
        spec,
        submitter,
        priority,
        trace,
    })
}

/// A spec is kept in one record of the store, and several records go into one batch.
const MAX_SPEC_BYTES: usize = 96 << 10;

fn read_spec(json: &[u8]) -> Result<Spec, Status> {
    if json.len() > MAX_SPEC_BYTES {
        return Err(faults::bad_request(format!(
            "the spec has {} bytes; expected at most {MAX_SPEC_BYTES}: name shards by patterns such as {{00000..00999}}.tar",
            json.len()
        )));
    }
    let unread = |e| faults::bad_request(format!("the spec is not one this build reads: {e}"));
    let spec: Spec = serde_json::from_slice(json).map_err(unread)?;
    // Clients have checked it, where they are ours.
    let problems = spec.problems();
    if problems.is_empty() {
        return Ok(spec);
    }
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(faults::bad_request(format!("the spec is wrong: {}", told.join("; "))))
}

/// Priorities that a submitter may ask for.
const PRIORITIES: std::ops::RangeInclusive<i32> = -100..=100;
const MAX_NAME_BYTES: usize = 64;

fn asked(submitter: String, priority: i32) -> Result<(String, i32), Status> {
    if !PRIORITIES.contains(&priority) {
        return Err(faults::bad_request(format!("priority {priority}; expected -100 to 100")));
    }
    Ok((named(&submitter)?, priority))
}

/// How long the caller's certificate is good yet; nothing where it has none. A connection may outlive it.
fn left<T>(request: &Request<T>) -> Result<Option<Duration>, Status> {
    let Some(ends_at_s) = request.extensions().get::<Peer>().and_then(|peer| peer.ends_at_s) else { return Ok(None) };
    let left = ends_at_s.saturating_mul(1_000).saturating_sub_unsigned(Millis::now().0);
    let over = |_| Status::unauthenticated("your certificate has ended; come back with another");
    u64::try_from(left).map(|left| Some(Duration::from_millis(left))).map_err(over)
}

/// Who asks.
fn named(by: &str) -> Result<String, Status> {
    if by.len() > MAX_NAME_BYTES || by.chars().any(char::is_control) {
        return Err(faults::bad_request(
            "the name of who asks is too long or no text; expected at most 64 bytes, and no control characters",
        ));
    }
    Ok(by.to_owned())
}

#[tonic::async_trait]
impl v1::audits_server::Audits for AuditsApi {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        let (caller, trace) = (Caller::of(&request), trace(&request));
        let submission = submission(request.into_inner(), (&caller, trace))?;
        self.places.check(&submission.spec).await?;
        let driver = self.seat.lead().await?.driver;
        let status = driver.submit(submission).await.map_err(faults::ask)?.map_err(faults::submit)?;
        Ok(Response::new(v1::SubmitReply { audit: Some(audit_view(status)) }))
    }

    async fn get_audit(&self, request: Request<v1::GetAuditRequest>) -> Result<Response<v1::GetAuditReply>, Status> {
        let status = self.watch(&request.get_ref().audit).await?.borrow().clone();
        Ok(Response::new(v1::GetAuditReply { audit: Some(audit_view(status)) }))
    }

    type WatchAuditStream = Pin<Box<dyn Stream<Item = Result<v1::WatchAuditReply, Status>> + Send>>;

    async fn watch_audit(
        &self,
        request: Request<v1::WatchAuditRequest>,
    ) -> Result<Response<Self::WatchAuditStream>, Status> {
        let statuses = self.watch(&request.get_ref().audit).await?;
        let (replies, stream) = mpsc::channel(MAX_QUEUED_VIEWS);
        tokio::spawn(show(statuses, replies));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn cancel_audit(
        &self,
        request: Request<v1::CancelAuditRequest>,
    ) -> Result<Response<v1::CancelAuditReply>, Status> {
        let caller = Caller::of(&request);
        let v1::CancelAuditRequest { audit, by } = request.into_inner();
        let status = self.control(&caller, (&audit, by), Control::Cancel).await?;
        Ok(Response::new(v1::CancelAuditReply { audit: Some(audit_view(status)) }))
    }

    async fn pause_audit(
        &self,
        request: Request<v1::PauseAuditRequest>,
    ) -> Result<Response<v1::PauseAuditReply>, Status> {
        let caller = Caller::of(&request);
        let v1::PauseAuditRequest { audit, by } = request.into_inner();
        let status = self.control(&caller, (&audit, by), Control::Pause).await?;
        Ok(Response::new(v1::PauseAuditReply { audit: Some(audit_view(status)) }))
    }

    async fn resume_audit(
        &self,
        request: Request<v1::ResumeAuditRequest>,
    ) -> Result<Response<v1::ResumeAuditReply>, Status> {
        let caller = Caller::of(&request);
        let v1::ResumeAuditRequest { audit, by } = request.into_inner();
        let status = self.control(&caller, (&audit, by), Control::Resume).await?;
        Ok(Response::new(v1::ResumeAuditReply { audit: Some(audit_view(status)) }))
    }

    async fn approve_audit(
        &self,
        request: Request<v1::ApproveAuditRequest>,
    ) -> Result<Response<v1::ApproveAuditReply>, Status> {
        let caller = Caller::of(&request);
        let v1::ApproveAuditRequest { audit, by } = request.into_inner();
        let status = self.control(&caller, (&audit, by), Control::Approve).await?;
        let approves = |deed: &lethe_engine::Deed| deed.what == What::Controlled(Control::Approve);
        let state = &status.view.state;
        if matches!(state, AuditState::Failed { .. } | AuditState::Cancelled { .. }) {
            let text = format!("{audit} has ended without a delivery; `lethe show {audit}` says why");
            return Err(Status::failed_precondition(text));
        }
        if !status.view.deeds.iter().any(approves) {
            return Err(Status::failed_precondition(match status.view.unapproved {
                true => format!("{audit} has no result to approve; `lethe show {audit}` says where it is"),
                false => format!("{audit} needs nobody's approval; report.approval in its spec asks for one"),
            }));
        }
        Ok(Response::new(v1::ApproveAuditReply { audit: Some(audit_view(status)) }))
    }

    type FetchResultStream = results::Pieces;

    async fn fetch_result(
        &self,
        request: Request<v1::FetchResultRequest>,
    ) -> Result<Response<Self::FetchResultStream>, Status> {
        let caller = Caller::of(&request);
        let v1::FetchResultRequest { audit, name } = request.into_inner();
        let view = self.watch(&audit).await?.borrow().view.clone();
        Ok(Response::new(results::fetch(&view, &name, &caller, &self.blobs)?))
    }

    async fn rerun_audit(
        &self,
        request: Request<v1::RerunAuditRequest>,
    ) -> Result<Response<v1::RerunAuditReply>, Status> {
        let (caller, trace) = (Caller::of(&request), trace(&request));
        let request = request.into_inner();
        self.may_change(&caller, &request.of).await?;
        let rerun = rerun(request, (&caller, trace))?;
        let status = super::rerun(&self.seat.lead().await?, &self.places, rerun).await?;
        Ok(Response::new(v1::RerunAuditReply { audit: Some(audit_view(status)) }))
    }

    async fn mark_suspects(
        &self,
        request: Request<v1::MarkSuspectsRequest>,
    ) -> Result<Response<v1::MarkSuspectsReply>, Status> {
        let caller = Caller::of(&request);
        let v1::MarkSuspectsRequest { audit, marks, by } = request.into_inner();
        self.may_change(&caller, &audit).await?;
        let by = named(&caller.name(by))?;
        let sayings = marks.into_iter().map(wire::saying).collect::<Result<_, _>>()?;
        let view = self.watch(&audit).await?.borrow().view.clone();
        let lead = self.seat.lead().await?;
        let reviewed = self.shelf.take(&view, &self.blobs).await.map_err(|error| faults::mark(error.into()))?;
        let marked = review::mark((&lead, &view), &reviewed.suspects, sayings, &by).await;
        let (marks, status) = marked.map_err(faults::mark)?;
        Ok(Response::new(v1::MarkSuspectsReply {
            poison: marks.count(Judgement::Poison),
            clean: marks.count(Judgement::Clean),
            audit: Some(audit_view(status)),
        }))
    }

    async fn list_marks(&self, request: Request<v1::ListMarksRequest>) -> Result<Response<v1::ListMarksReply>, Status> {
        let view = self.watch(&request.get_ref().audit).await?.borrow().view.clone();
        let lead = self.seat.lead().await?;
        let marks = review::marks_of(&view, &lead).await.map_err(faults::mark)?;
        Ok(Response::new(v1::ListMarksReply { marks: marks.all().map(wire::mark).collect() }))
    }

    async fn open_pages(&self, request: Request<v1::OpenPagesRequest>) -> Result<Response<v1::OpenPagesReply>, Status> {
        let (caller, left) = (Caller::of(&request), left(&request)?);
        let name = named(&caller.name(request.into_inner().by))?;
        self.seat.lead().await?; // sessions are the leader's
        let none = "this coordinator serves no pages; start it with --pages ADDRESS";
        let (url, sessions) = self.pages.as_ref().ok_or_else(|| Status::failed_precondition(none))?;
        let code = sessions.invite(Visitor { caller, name }, left);
        Ok(Response::new(v1::OpenPagesReply { url: format!("{url}/login?code={code}") }))
    }

    async fn list_audits(&self, _: Request<v1::ListAuditsRequest>) -> Result<Response<v1::ListAuditsReply>, Status> {
        let statuses = self.seat.lead().await?.driver.list().await.map_err(faults::ask)?;
        Ok(Response::new(v1::ListAuditsReply { audits: statuses.into_iter().map(audit_view).collect() }))
    }

    async fn list_workers(&self, _: Request<v1::ListWorkersRequest>) -> Result<Response<v1::ListWorkersReply>, Status> {
        let workers = self.seat.lead().await?.driver.workers().await.map_err(faults::ask)?;
        let workers = workers.into_iter().map(|(view, greeting)| worker_view(view, greeting)).collect();
        Ok(Response::new(v1::ListWorkersReply { workers }))
    }

    async fn cluster(&self, _: Request<v1::ClusterRequest>) -> Result<Response<v1::ClusterReply>, Status> {
        let term = self.seat.lead().await?.term;
        let ClusterFacts { address, store, knobs } = self.facts.clone();
        let knob = |(name, ms): (&str, u64)| v1::Knob { name: name.to_owned(), ms };
        Ok(Response::new(v1::ClusterReply {
            term,
            leader: address,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            store,
            knobs: knobs.waits().into_iter().map(knob).collect(),
        }))
    }
}

/// Sends the status at once and on every change, until it is final or the watcher is gone.
async fn show(
    mut statuses: watch::Receiver<driver::Status>,
    replies: mpsc::Sender<Result<v1::WatchAuditReply, Status>>,
) {
    loop {
        let status = statuses.borrow_and_update().clone();
        let last = status.is_final();
        let reply = v1::WatchAuditReply { audit: Some(audit_view(status)) };
        if replies.send(Ok(reply)).await.is_err() || last {
            return;
        }
        let changed = tokio::select! {
            changed = statuses.changed() => changed,
            () = replies.closed() => return,
        };
        if changed.is_err() {
            let stopping = Status::unavailable("the coordinator is stopping; watch again when it is back");
            drop(replies.send(Err(stopping)).await); // the watcher may be gone
            return;
        }
    }
}
