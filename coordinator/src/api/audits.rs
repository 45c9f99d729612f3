//! The service for clients: submit, look, watch, cancel.
//!
//! It must never start an audit whose spec this build does not understand whole.

use std::pin::Pin;

use futures::Stream;
use lethe_common::ids::AuditId;
use lethe_common::spec::Spec;
use lethe_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::status::audit_view;
use super::{faults, token::Token};
use crate::driver::{self, DriverHandle, Submission};

/// Views a slow watcher may lag behind; the newest is always the next it gets.
const MAX_QUEUED_VIEWS: usize = 2;

pub struct AuditsApi {
    driver: DriverHandle,
}

type Service = v1::audits_server::AuditsServer<AuditsApi>;

impl AuditsApi {
    /// The service behind its token.
    pub fn service(
        driver: DriverHandle,
        token: Token,
    ) -> tonic::service::interceptor::InterceptedService<Service, Token> {
        let service = Service::new(Self { driver })
            .max_decoding_message_size(super::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(super::MAX_MESSAGE_BYTES);
        tonic::service::interceptor::InterceptedService::new(service, token)
    }

    async fn watch(&self, audit: &str) -> Result<watch::Receiver<driver::Status>, Status> {
        let audit = AuditId::new(audit).map_err(faults::bad_request)?;
        self.driver.watch(audit.clone()).await.map_err(faults::ask)?.ok_or_else(|| unknown(&audit))
    }
}

fn unknown(audit: &AuditId) -> Status {
    Status::not_found(format!("there is no audit {audit}; submit it first"))
}

fn submission(request: &v1::SubmitRequest) -> Result<Submission, Status> {
    let spec: Spec = serde_json::from_slice(&request.spec_json)
        .map_err(|e| faults::bad_request(format!("the spec is not one this build reads: {e}")))?;
    if spec.audit.id.as_str() != request.audit {
        let text =
            format!("audit {:?} carries the spec of {:?}; expected one id", request.audit, spec.audit.id.as_str());
        return Err(faults::bad_request(text));
    }
    // Written anew, so that the same spec is the same text whatever its client's spaces and order.
    let spec_json = serde_json::to_string(&spec).map_err(faults::bad_request)?;
    Ok(Submission { spec: Box::new(spec), spec_json })
}

#[tonic::async_trait]
impl v1::audits_server::Audits for AuditsApi {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        let submission = submission(request.get_ref())?;
        let status = self.driver.submit(submission).await.map_err(faults::ask)?.map_err(faults::submit)?;
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
        let audit = AuditId::new(&request.get_ref().audit).map_err(faults::bad_request)?;
        let status = self.driver.cancel(audit.clone()).await.map_err(faults::ask)?.ok_or_else(|| unknown(&audit))?;
        Ok(Response::new(v1::CancelAuditReply { audit: Some(audit_view(status)) }))
    }

    async fn pause_audit(&self, _: Request<v1::PauseAuditRequest>) -> Result<Response<v1::PauseAuditReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn resume_audit(&self, _: Request<v1::ResumeAuditRequest>) -> Result<Response<v1::ResumeAuditReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn rerun_audit(&self, _: Request<v1::RerunAuditRequest>) -> Result<Response<v1::RerunAuditReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn list_audits(&self, _: Request<v1::ListAuditsRequest>) -> Result<Response<v1::ListAuditsReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn list_workers(&self, _: Request<v1::ListWorkersRequest>) -> Result<Response<v1::ListWorkersReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn cluster(&self, _: Request<v1::ClusterRequest>) -> Result<Response<v1::ClusterReply>, Status> {
        Err(Status::unimplemented("not yet"))
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
