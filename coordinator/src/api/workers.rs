//! The service for workers: sessions, commits and the rendezvous of gangs.
//!
//! It must never answer a commit before the engine's answer is durable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lethe_common::ids::{Generation, TaskId, WorkerId};
use lethe_proto::{WireError, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{faults, session, token::Token, wire};
use crate::driver::{DriverHandle, Input};
use crate::rendezvous::{GangId, Rendezvous};

/// What every worker is told when it is welcomed.
#[derive(Debug, Clone)]
pub struct SessionTerms {
    pub heartbeat_ms: u64,
    /// Root of the blob store, as a URL.
    pub blob_root: String,
}

pub struct WorkersApi {
    driver: DriverHandle,
    rendezvous: Arc<Rendezvous>,
    terms: SessionTerms,
}

type Service = v1::workers_server::WorkersServer<WorkersApi>;

impl WorkersApi {
    pub fn new(driver: DriverHandle, rendezvous: Arc<Rendezvous>, terms: SessionTerms) -> Self {
        Self { driver, rendezvous, terms }
    }

    /// The service behind its token.
    pub fn service(self, token: Token) -> tonic::service::interceptor::InterceptedService<Service, Token> {
        let service = Service::new(self)
            .max_decoding_message_size(super::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(super::MAX_MESSAGE_BYTES);
        tonic::service::interceptor::InterceptedService::new(service, token)
    }
}

fn commit(request: v1::CommitRequest) -> Result<impl FnOnce(CommitReplySender) -> Input, WireError> {
    let worker = WorkerId::new(&request.worker)?;
    let task = TaskId::try_from(request.task.ok_or(WireError::Missing("task"))?)?;
    let outputs = wire::outputs(request.outputs)?;
    let counts = wire::counts(request.counts.ok_or(WireError::Missing("counts"))?);
    Ok(move |reply| Input::Commit { worker, task, outputs, counts, reply })
}

type CommitReplySender = tokio::sync::oneshot::Sender<lethe_engine::CommitOutcome>;

fn place(key: Option<v1::RendezvousKey>) -> Result<(GangId, Generation, String), WireError> {
    let key = key.ok_or(WireError::Missing("key"))?;
    let task = TaskId::try_from(key.task.ok_or(WireError::Missing("key.task"))?)?;
    Ok(((task.audit, task.phase), Generation(key.generation), key.key))
}

#[tonic::async_trait]
impl v1::workers_server::Workers for WorkersApi {
    type SessionStream = ReceiverStream<Result<v1::CoordinatorMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (replies, stream) = mpsc::channel(1);
        let session = session::run(request.into_inner(), replies, self.driver.clone(), self.terms.clone());
        tokio::spawn(session);
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn commit(&self, request: Request<v1::CommitRequest>) -> Result<Response<v1::CommitReply>, Status> {
        let input = commit(request.into_inner()).map_err(faults::wire)?;
        let outcome = self.driver.ask(input).await.map_err(faults::ask)?;
        Ok(Response::new(v1::CommitReply { outcome: wire::outcome(outcome).into() }))
    }

    async fn commit_many(&self, _: Request<v1::CommitManyRequest>) -> Result<Response<v1::CommitManyReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn rendezvous_set(
        &self,
        request: Request<v1::RendezvousSetRequest>,
    ) -> Result<Response<v1::RendezvousSetReply>, Status> {
        let v1::RendezvousSetRequest { key, value } = request.into_inner();
        let (gang, generation, key) = place(key).map_err(faults::wire)?;
        self.rendezvous.set(&gang, generation, &key, Bytes::from(value)).map_err(faults::rendezvous)?;
        Ok(Response::new(v1::RendezvousSetReply {}))
    }

    async fn rendezvous_get(
        &self,
        request: Request<v1::RendezvousGetRequest>,
    ) -> Result<Response<v1::RendezvousGetReply>, Status> {
        let v1::RendezvousGetRequest { key, timeout_ms } = request.into_inner();
        let (gang, generation, key) = place(key).map_err(faults::wire)?;
        let timeout = Duration::from_millis(timeout_ms);
        let value = self.rendezvous.get(&gang, generation, &key, timeout).await.map_err(faults::rendezvous)?;
        Ok(Response::new(v1::RendezvousGetReply { value: value.to_vec() }))
    }

    async fn rendezvous_add(
        &self,
        request: Request<v1::RendezvousAddRequest>,
    ) -> Result<Response<v1::RendezvousAddReply>, Status> {
        let v1::RendezvousAddRequest { key, amount } = request.into_inner();
        let (gang, generation, key) = place(key).map_err(faults::wire)?;
        let value = self.rendezvous.add(&gang, generation, &key, amount).map_err(faults::rendezvous)?;
        Ok(Response::new(v1::RendezvousAddReply { value }))
    }
}
