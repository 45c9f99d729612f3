//! The service for workers: sessions, commits, and the checkpoints and the rendezvous of gangs.
//!
//! It must never keep a session beyond the reign it began in.

use std::time::Duration;

use bytes::Bytes;
use lethe_common::ids::{Generation, TaskId};
use lethe_proto::{WireError, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::caller::Caller;
use super::seat::Seat;
use super::{commits, faults, session};
use crate::rendezvous::GangId;

/// What every worker is told when it is welcomed.
#[derive(Debug, Clone)]
pub struct SessionTerms {
    pub heartbeat_ms: u64,
    /// Root of the blob store, as a URL.
    pub blob_root: String,
}

pub struct WorkersApi {
    seat: Seat,
    terms: SessionTerms,
}

type Service = v1::workers_server::WorkersServer<WorkersApi>;

/// Messages that may wait for a worker to read them.
const MAX_QUEUED_MESSAGES: usize = 16;

impl WorkersApi {
    pub fn new(seat: Seat, terms: SessionTerms) -> Self {
        Self { seat, terms }
    }

    /// The service, which must stand behind a gate.
    pub fn service(self) -> Service {
        Service::new(self)
            .max_decoding_message_size(super::limits::MAX_WORKER_MESSAGE_BYTES)
            .max_encoding_message_size(super::MAX_MESSAGE_BYTES)
    }
}

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
        let caller = Caller::of(&request);
        let lead = self.seat.lead().await?;
        let (replies, stream) = mpsc::channel(MAX_QUEUED_MESSAGES);
        let session = session::run((caller, request.into_inner()), replies, lead.driver, self.terms.clone());
        tokio::spawn(session);
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn commit(&self, request: Request<v1::CommitRequest>) -> Result<Response<v1::CommitReply>, Status> {
        Caller::of(&request).may_speak_for(&request.get_ref().worker)?;
        commits::one(&self.seat.lead().await?, request.into_inner()).await.map(Response::new)
    }

    async fn commit_many(
        &self,
        request: Request<v1::CommitManyRequest>,
    ) -> Result<Response<v1::CommitManyReply>, Status> {
        Caller::of(&request).may_speak_for(&request.get_ref().worker)?;
        commits::many(&self.seat.lead().await?, request.into_inner()).await.map(Response::new)
    }

    async fn checkpoint_gang(
        &self,
        request: Request<v1::CheckpointGangRequest>,
    ) -> Result<Response<v1::CheckpointGangReply>, Status> {
        Caller::of(&request).may_speak_for(&request.get_ref().worker)?;
        commits::checkpoint(&self.seat.lead().await?, request.into_inner()).await.map(Response::new)
    }

    async fn rendezvous_set(
        &self,
        request: Request<v1::RendezvousSetRequest>,
    ) -> Result<Response<v1::RendezvousSetReply>, Status> {
        let v1::RendezvousSetRequest { key, value } = request.into_inner();
        let (gang, generation, key) = place(key).map_err(faults::wire)?;
        let rendezvous = self.seat.lead().await?.rendezvous;
        rendezvous.set(&gang, generation, &key, Bytes::from(value)).map_err(faults::rendezvous)?;
        Ok(Response::new(v1::RendezvousSetReply {}))
    }

    async fn rendezvous_get(
        &self,
        request: Request<v1::RendezvousGetRequest>,
    ) -> Result<Response<v1::RendezvousGetReply>, Status> {
        let v1::RendezvousGetRequest { key, timeout_ms } = request.into_inner();
        let (gang, generation, key) = place(key).map_err(faults::wire)?;
        let timeout = Duration::from_millis(timeout_ms);
        let rendezvous = self.seat.lead().await?.rendezvous;
        let value = rendezvous.get(&gang, generation, &key, timeout).await.map_err(faults::rendezvous)?;
        Ok(Response::new(v1::RendezvousGetReply { value: value.to_vec() }))
    }

    async fn rendezvous_add(
        &self,
        request: Request<v1::RendezvousAddRequest>,
    ) -> Result<Response<v1::RendezvousAddReply>, Status> {
        let v1::RendezvousAddRequest { key, amount } = request.into_inner();
        let (gang, generation, key) = place(key).map_err(faults::wire)?;
        let rendezvous = self.seat.lead().await?.rendezvous;
        let value = rendezvous.add(&gang, generation, &key, amount).map_err(faults::rendezvous)?;
        Ok(Response::new(v1::RendezvousAddReply { value }))
    }
}
