//! Serves an executor's rendezvous store from the coordinator's.
//!
//! It must never retry: an `Add` that was applied but not answered would count twice. A failed
//! rendezvous fails the generation, and the next has a fresh store.

use std::time::Duration;

use lethe_common::ids::{Generation, TaskId};
use lethe_proto::v1;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::client::Client;
use super::commit::Leader;
use crate::frame::{RendezvousReply, RendezvousRequest};

/// How long an answer may take beyond the wait that it grants.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);

/// What an executor asks of its generation's store.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) task: TaskId,
    pub(super) generation: Generation,
    pub(super) request: RendezvousRequest,
}

pub(super) async fn answer(leader: Option<Leader>, question: Question) -> RendezvousReply {
    let Some(Leader { client, .. }) = leader else {
        return RendezvousReply::Unavailable("there is no session with the coordinator".to_owned());
    };
    let granted = match &question.request {
        RendezvousRequest::Get { timeout_ms, .. } => Duration::from_millis(*timeout_ms),
        RendezvousRequest::Set { .. } | RendezvousRequest::Add { .. } => Duration::ZERO,
    };
    match timeout(granted + ANSWER_MARGIN, ask(client, question)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(status)) if status.code() == Code::DeadlineExceeded => RendezvousReply::TimedOut,
        Ok(Err(status)) => RendezvousReply::Unavailable(status.message().to_owned()),
        Err(_) => RendezvousReply::Unavailable("the coordinator does not answer".to_owned()),
    }
}

async fn ask(mut client: Client, question: Question) -> Result<RendezvousReply, Status> {
    let Question { task, generation, request } = question;
    let key = |key| Some(v1::RendezvousKey { task: Some(task.into()), generation: generation.0, key });
    Ok(match request {
        RendezvousRequest::Set { key: name, value } => {
            client.rendezvous_set(v1::RendezvousSetRequest { key: key(name), value }).await?;
            RendezvousReply::Set
        }
        RendezvousRequest::Get { key: name, timeout_ms } => {
            let reply = client.rendezvous_get(v1::RendezvousGetRequest { key: key(name), timeout_ms }).await?;
            RendezvousReply::Value(reply.into_inner().value)
        }
        RendezvousRequest::Add { key: name, amount } => {
            let reply = client.rendezvous_add(v1::RendezvousAddRequest { key: key(name), amount }).await?;
            RendezvousReply::Sum(reply.into_inner().value)
        }
    })
}
