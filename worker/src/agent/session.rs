//! The one session with the coordinator: dialled, kept alive, dialled again.
//!
//! It must never interpret a message: it hands them on, and says when they come from a new session.

use std::time::Duration;

use lethe_common::backoff::Backoff;
use lethe_proto::{WIRE_VERSION, v1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;
use v1::coordinator_message::Kind;

use super::AgentOptions;
use super::client::{Client, Credentials};

/// Dialling, and the first answer after it.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Messages of ours that may wait for the network.
const OUTBOX: usize = 64;

#[derive(Debug)]
pub(super) enum SessionEvent {
    Opened(Opened),
    Received(Kind),
    Closed { reason: String },
}

/// A session that the coordinator welcomed. Dropping every sender of `outbox` closes it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) client: Client,
    pub(super) outbox: mpsc::Sender<v1::WorkerMessage>,
    pub(super) welcome: v1::Welcome,
}

/// Keeps a session, forever; ends when nobody takes the events any more.
pub(super) async fn keep(options: AgentOptions, events: mpsc::Sender<SessionEvent>) {
    // Jitter needs no more than a seed that differs between the workers of one machine.
    let mut jitter = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()));
    let mut attempt = 0;
    loop {
        let outcome = match open(&options).await {
            Ok((opened, messages)) => {
                attempt = 0;
                serve(opened, messages, &events).await
            }
            Err(reason) => Err(reason),
        };
        let Err(reason) = outcome else { return };
        if events.send(SessionEvent::Closed { reason }).await.is_err() {
            return;
        }
        tokio::time::sleep(Backoff::RECONNECT.pause(attempt, jitter.random())).await;
        attempt = attempt.saturating_add(1);
    }
}

type Messages = Streaming<v1::CoordinatorMessage>;

async fn open(options: &AgentOptions) -> Result<(Opened, Messages), String> {
    timeout(CONNECT_DEADLINE, dial(options))
        .await
        .map_err(|_| format!("{} did not answer within {} s", options.coordinator, CONNECT_DEADLINE.as_secs()))?
}

async fn dial(options: &AgentOptions) -> Result<(Opened, Messages), String> {
    let url = &options.coordinator;
    let endpoint = Endpoint::from_shared(url.clone()).map_err(|e| format!("{url} is no address: {e}"))?;
    let channel = endpoint.tcp_nodelay(true).connect().await;
    let channel = channel.map_err(|e| format!("cannot reach {url}: {}", innermost(&e)))?;
    let mut client = Credentials::new(options.token.as_deref())?.client(channel);
    let (outbox, ours) = mpsc::channel(OUTBOX);
    let hello = v1::WorkerHello {
        worker: options.id.to_string(),
        version: WIRE_VERSION,
        host: options.host.clone(),
        device: options.device.clone(),
        ..v1::WorkerHello::default()
    };
    drop(outbox.send(message(v1::worker_message::Kind::Hello(hello))).await); // the channel is empty and open
    let refused = |status: tonic::Status| format!("{url} refused the session: {}", status.message());
    let mut messages = client.session(ReceiverStream::new(ours)).await.map_err(refused)?.into_inner();
    match messages.message().await.map_err(refused)?.and_then(|first| first.kind) {
        Some(Kind::Welcome(welcome)) => Ok((Opened { client, outbox, welcome }, messages)),
        Some(Kind::Map(_) | Kind::MapPhase(_) | Kind::MapLeases(_) | Kind::Gang(_) | Kind::Abort(_)) | None => {
            Err(format!("{url} did not begin with a welcome"))
        }
    }
}

/// Passes messages on and sends heartbeats. `Ok` where nobody takes the events any more.
async fn serve(opened: Opened, mut messages: Messages, events: &mpsc::Sender<SessionEvent>) -> Result<(), String> {
    let period = Duration::from_millis(opened.welcome.heartbeat_ms.max(1));
    let mut heartbeats = interval_at(Instant::now() + period, period);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Weak, so that the agent's own end is what closes the session.
    let outbox = opened.outbox.downgrade();
    if events.send(SessionEvent::Opened(opened)).await.is_err() {
        return Ok(());
    }
    loop {
        tokio::select! {
            received = messages.message() => match received {
                Ok(Some(v1::CoordinatorMessage { kind: Some(kind) })) => {
                    if events.send(SessionEvent::Received(kind)).await.is_err() {
                        return Ok(());
                    }
                }
                // A kind that a newer coordinator sends and we do not know is passed over.
                Ok(Some(v1::CoordinatorMessage { kind: None })) => {}
                Ok(None) => return Err("the coordinator closed the session".to_owned()),
                Err(status) => return Err(format!("the session broke: {}", status.message())),
            },
            _ = heartbeats.tick() => if let Some(outbox) = outbox.upgrade() {
                // A full outbox is a sign of life on its way already.
                drop(outbox.try_send(message(v1::worker_message::Kind::Heartbeat(v1::Heartbeat {}))));
            },
        }
    }
}

pub(super) fn message(kind: v1::worker_message::Kind) -> v1::WorkerMessage {
    v1::WorkerMessage { kind: Some(kind) }
}

/// tonic says only "transport error"; what the system said lies below.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).last().map(ToString::to_string).unwrap_or_default()
}
