//! One worker's session: hello, welcome, then its messages in and the driver's orders out, until
//! either side is gone.
//!
//! It must never outlive the driver's interest: when the orders end, so does the stream.

use std::time::Duration;

use lethe_common::ids::{TaskId, WorkerId};
use lethe_proto::{WIRE_VERSION, WireError, v1};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tonic::{Status, Streaming};
use tracing::{debug, info};
use v1::coordinator_message::Kind as Reply;
use v1::worker_message::Kind as Message;

use super::caller::Caller;
use super::orders::Teller;
use super::workers::SessionTerms;
use super::{faults, wire};
use crate::driver::{DriverHandle, Greeting, Input, Joined, Progress, SessionKey};

/// A worker says hello as soon as it has dialled.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// Past this a worker that does not read its stream is lost.
const SEND_DEADLINE: Duration = Duration::from_secs(10);
/// Tasks that a worker may hold, whatever it says.
const MAX_SLOTS: u32 = 64;
/// Orders that go out together.
const MAX_GROUPED: usize = 256;
/// This version and the one before; there was none before the first.
const OLDEST_VERSION: u32 = if WIRE_VERSION > 1 { WIRE_VERSION - 1 } else { 1 };

type Replies = mpsc::Sender<Result<v1::CoordinatorMessage, Status>>;

/// Runs a session to its end; a refusal goes out as the stream's error.
pub(super) async fn run(
    (caller, mut messages): (Caller, Streaming<v1::WorkerMessage>),
    replies: Replies,
    driver: DriverHandle,
    terms: SessionTerms,
) {
    match open(&caller, &mut messages, &driver).await {
        Ok(joined) => serve(joined, messages, replies, (driver, terms)).await,
        Err(refusal) => {
            info!(reason = refusal.message(), "session refused");
            drop(timeout(SEND_DEADLINE, replies.send(Err(refusal))).await); // the worker may be gone
        }
    }
}

async fn open(
    caller: &Caller,
    messages: &mut Streaming<v1::WorkerMessage>,
    driver: &DriverHandle,
) -> Result<(Joined, u32), Status> {
    let first = timeout(HELLO_DEADLINE, messages.message()).await;
    let first =
        first.map_err(|_elapsed| Status::deadline_exceeded("no hello came; expected one as the first message"))?;
    let Some(Message::Hello(hello)) = first?.and_then(|message| message.kind) else {
        return Err(Status::failed_precondition("the first message is not a hello; expected one"));
    };
    caller.may_speak_for(&hello.worker)?;
    let greeting = greeting(&hello)?;
    check_version(&hello)?;
    info!(worker = %greeting.worker, host = hello.host, device = hello.device, version = hello.version, "hello");
    let joined = driver.join(greeting).await.map_err(faults::ask)?;
    Ok((joined.map_err(faults::join)?, hello.version))
}

/// Of what a worker says of its machine: some of it is a part of what is stored.
const MAX_TEXT_BYTES: usize = 256;

fn greeting(hello: &v1::WorkerHello) -> Result<Greeting, Status> {
    for (what, text) in
        [("instance", &hello.instance), ("host", &hello.host), ("device", &hello.device), ("release", &hello.release)]
    {
        if text.len() > MAX_TEXT_BYTES {
            let bytes = text.len();
            return Err(faults::bad_request(format!(
                "its {what} has {bytes} bytes; expected at most {MAX_TEXT_BYTES}"
            )));
        }
    }
    let slots = if hello.version < 2 { 1 } else { hello.slots.clamp(1, MAX_SLOTS) };
    Ok(Greeting {
        worker: WorkerId::new(&hello.worker).map_err(faults::bad_request)?,
        instance: hello.instance.clone(),
        host: hello.host.clone(),
        device: hello.device.clone(),
        memory_bytes: hello.memory_bytes,
        release: hello.release.clone(),
        version: hello.version,
        slots,
        pace: None,
    })
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
    (joined, version): (Joined, u32),
    mut messages: Streaming<v1::WorkerMessage>,
    replies: Replies,
    (driver, terms): (DriverHandle, SessionTerms),
) {
    let Joined { session, term, mut orders, heard } = joined;
    let SessionTerms { heartbeat_ms, blob_root } = terms;
    // Version 1 beats once a heartbeat, and a loss is noticed before two have passed.
    let heartbeat_ms = if version < 2 { (heartbeat_ms / 2).max(1) } else { heartbeat_ms };
    let welcome = v1::Welcome { term: term.0, heartbeat_ms, blob_root };
    let mut next = vec![wire::message(Reply::Welcome(welcome))];
    let (mut teller, mut taken) = (Teller::new(version), Vec::new());
    let reason = 'session: loop {
        for reply in next.drain(..) {
            if let Err(reason) = send(&replies, reply).await {
                break 'session reason;
            }
        }
        tokio::select! {
            count = orders.recv_many(&mut taken, MAX_GROUPED) => match count {
                0 => return, // the driver gave the worker up, so there is nothing to tell it
                _ => next = teller.messages(std::mem::take(&mut taken)),
            },
            message = messages.message() => {
                heard.note(Instant::now());
                if let Err(reason) = hear(message, &session, &driver).await {
                    break reason;
                }
            }
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
async fn hear(
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
        None | Some(Message::Hello(_)) => None, // the sign of life was noted
        Some(Message::Heartbeat(v1::Heartbeat { pace })) => {
            pace.map(|pace| Input::Pace { session, pace: wire::pace(pace) })
        }
        Some(Message::Draining(v1::Draining { reason })) => Some(Input::Draining { session, reason }),
        Some(Message::Progress(v1::TaskProgress { task, done, total, place })) => {
            let task = TaskId::try_from(task.ok_or(WireError::Missing("task"))?)?;
            let (progress, place) = (Progress { done, total }, place.map(wire::place));
            Some(Input::Progress { session, task, progress, place })
        }
        Some(Message::Failed(v1::TaskFailed { task, fault })) => {
            let task = TaskId::try_from(task.ok_or(WireError::Missing("task"))?)?;
            let fault = fault.ok_or(WireError::Missing("fault"))?.into();
            Some(Input::Failed { session, task, fault })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device's name is a part of a durable key.
    #[test]
    fn what_a_worker_says_of_its_machine_is_short() {
        let hello = |device: String| v1::WorkerHello { worker: "w".to_owned(), device, ..v1::WorkerHello::default() };
        assert!(greeting(&hello("H".repeat(256))).is_ok());
        let refused = greeting(&hello("H".repeat(257))).expect_err("is long");
        assert!(refused.message().contains("its device has 257 bytes"), "{refused}");
    }
}
