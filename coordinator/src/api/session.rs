//! One worker's session: hello, welcome, then its messages in and the driver's orders out, until
//! either side is gone.
//!
//! It must never outlive the driver's interest: when the orders end, so does the stream.

use std::time::Duration;

use lethe_common::ids::{TaskId, WorkerId};
use lethe_proto::{WIRE_VERSION, WireError, v1};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};
use tracing::{debug, info};
use v1::coordinator_message::Kind as Reply;
use v1::worker_message::Kind as Message;

use super::workers::SessionTerms;
use super::{faults, wire};
use crate::driver::{DriverHandle, Input, Joined, Progress, SessionKey};

/// A worker says hello as soon as it has dialled.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// Past this a worker that does not read its stream is lost.
const SEND_DEADLINE: Duration = Duration::from_secs(10);
/// This version and the one before; there was none before the first.
const OLDEST_VERSION: u32 = if WIRE_VERSION > 1 { WIRE_VERSION - 1 } else { 1 };

type Replies = mpsc::Sender<Result<v1::CoordinatorMessage, Status>>;

/// Runs a session to its end; a refusal goes out as the stream's error.
pub(super) async fn run(
    mut messages: Streaming<v1::WorkerMessage>,
    replies: Replies,
    driver: DriverHandle,
    terms: SessionTerms,
) {
    match open(&mut messages, &driver).await {
        Ok(joined) => serve(joined, messages, replies, (driver, terms)).await,
        Err(refusal) => {
            info!(reason = refusal.message(), "session refused");
            drop(timeout(SEND_DEADLINE, replies.send(Err(refusal))).await); // the worker may be gone
        }
    }
}

async fn open(messages: &mut Streaming<v1::WorkerMessage>, driver: &DriverHandle) -> Result<Joined, Status> {
    let first = timeout(HELLO_DEADLINE, messages.message()).await;
    let first =
        first.map_err(|_elapsed| Status::deadline_exceeded("no hello came; expected one as the first message"))?;
    let Some(Message::Hello(hello)) = first?.and_then(|message| message.kind) else {
        return Err(Status::failed_precondition("the first message is not a hello; expected one"));
    };
    let worker = WorkerId::new(&hello.worker).map_err(faults::bad_request)?;
    check_version(&hello)?;
    info!(%worker, host = hello.host, device = hello.device, version = hello.version, "hello");
    driver.join(worker).await.map_err(faults::ask)
}

fn check_version(hello: &v1::WorkerHello) -> Result<(), Status> {
    if (OLDEST_VERSION..=WIRE_VERSION).contains(&hello.version) {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "worker {} speaks wire version {}; this coordinator serves {OLDEST_VERSION} to {WIRE_VERSION}: \
         run workers and coordinator of neighbouring releases",
        hello.worker, hello.version
    )))
}

async fn serve(
    joined: Joined,
    mut messages: Streaming<v1::WorkerMessage>,
    replies: Replies,
    (driver, terms): (DriverHandle, SessionTerms),
) {
    let Joined { session, term, mut orders } = joined;
    let welcome = v1::Welcome { term: term.0, heartbeat_ms: terms.heartbeat_ms, blob_root: terms.blob_root };
    let mut next = Some(wire::message(Reply::Welcome(welcome)));
    let reason = loop {
        if let Some(reply) = next.take()
            && let Err(reason) = send(&replies, reply).await
        {
            break reason;
        }
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => next = Some(wire::order(order)),
                None => return, // the driver gave the worker up, so there is nothing to tell it
            },
            message = messages.message() => match heard(message, &session, &driver).await {
                Ok(()) => {}
                Err(reason) => break reason,
            },
            () = replies.closed() => break "it hung up".to_owned(),
        }
    };
    debug!(worker = %session.worker, reason, "session ends");
    drop(driver.tell(Input::Leave { session, reason }).await); // a driver that is gone needs no telling
}

async fn send(replies: &Replies, reply: v1::CoordinatorMessage) -> Result<(), String> {
    match timeout(SEND_DEADLINE, replies.send(Ok(reply))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_closed)) => Err("it hung up".to_owned()),
        Err(_elapsed) => Err(format!("it did not read its stream for {} s", SEND_DEADLINE.as_secs())),
    }
}

/// Hands one message to the driver.
///
/// # Errors
/// Why the session is over.
async fn heard(
    message: Result<Option<v1::WorkerMessage>, Status>,
    session: &SessionKey,
    driver: &DriverHandle,
) -> Result<(), String> {
    let message = message.map_err(|status| format!("its stream broke: {}", status.message()))?;
    let message = message.ok_or("it closed its stream")?;
    match input(message, session).map_err(|e| format!("it sent a bad message: {e}"))? {
        Some(input) => driver.tell(input).await.map_err(|e| e.to_string()),
        None => Ok(()),
    }
}

/// A kind that a newer worker sends and we do not know is passed over.
fn input(message: v1::WorkerMessage, session: &SessionKey) -> Result<Option<Input>, WireError> {
    let session = session.clone();
    Ok(match message.kind {
        None => None,
        Some(Message::Hello(_) | Message::Heartbeat(_) | Message::Draining(_)) => Some(Input::Alive { session }),
        Some(Message::Progress(v1::TaskProgress { task, done, total })) => {
            let task = TaskId::try_from(task.ok_or(WireError::Missing("task"))?)?;
            Some(Input::Progress { session, task, progress: Progress { done, total } })
        }
        Some(Message::Failed(v1::TaskFailed { task, fault })) => {
            let task = TaskId::try_from(task.ok_or(WireError::Missing("task"))?)?;
            let fault = fault.ok_or(WireError::Missing("fault"))?.into();
            Some(Input::Failed { session, task, fault })
        }
    })
}
