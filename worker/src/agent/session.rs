//! The one session with the coordinator that leads: searched, kept alive, searched again.
//!
//! It must never interpret a message: it hands them on, and says when they come from a new session. It must never end
//! because of a coordinator either.

use std::pin::pin;
use std::time::Duration;

use lethe_common::backoff::Backoff;
use lethe_common::ids::Term;
use lethe_proto::{WIRE_VERSION, v1};
use lethe_tls::Target;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use v1::coordinator_message::Kind;

use super::client::{Client, Credentials};
use super::lookout;
use super::pulse::Pulse;
use super::search::{Pause, Search};
use super::{AgentOptions, HOLD};

/// From dialling to the welcome: a coordinator that has just started may be reading its store.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);

/// A session that ended sooner makes the next pause longer.
const BRIEF: Duration = Duration::from_secs(5);

/// Messages of ours that may wait for the network.
const OUTBOX: usize = 256;

/// Where a coordinator that does not lead says who does.
const LEADER_METADATA: &str = "lethe-leader";

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
    pub(super) address: String,
}

/// Why there is no session, and who leads where that was said.
#[derive(Debug)]
struct Refusal {
    reason: String,
    leader: Option<String>,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, leader: None }
    }
}

/// Keeps a session, forever; ends when nobody takes the events any more.
pub(super) async fn keep(options: AgentOptions, events: mpsc::Sender<SessionEvent>) {
    // Jitter needs no more than a seed that differs between the workers of one machine.
    let mut jitter = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()));
    let mut search = Search::new(options.coordinators.clone());
    let mut known = Known::default();
    let mut brief = 0;
    loop {
        let address = search.next();
        let outcome = match open(&options, &address, &known).await {
            Ok((opened, messages)) => {
                search.found(address.clone());
                known.learn(&opened.welcome);
                let ended = serve(opened, messages, &options, (known.pulse, &events)).await;
                match &ended {
                    Err(End::Broke(_)) => search.broke(&address),
                    Err(End::Superseded(leader)) => search.found(leader.clone()),
                    Err(End::Closed) | Ok(()) => {}
                }
                // Two workers of one name would end each other's sessions as fast as they could.
                brief = if known.heard_at.elapsed() < BRIEF { brief + 1 } else { 0 };
                known.heard_at = Instant::now();
                ended.map_err(|end| (end.to_string(), Pause::Backoff(brief)))
            }
            Err(Refusal { reason, leader }) => Err((reason, search.failed(&address, leader.as_deref()))),
        };
        let Err((reason, pause)) = outcome else { return };
        if events.send(SessionEvent::Closed { reason }).await.is_err() {
            return;
        }
        match pause {
            Pause::None => {}
            Pause::Backoff(attempt) => tokio::time::sleep(Backoff::RECONNECT.pause(attempt, jitter.random())).await,
        }
    }
}

/// What earlier sessions taught.
#[derive(Debug)]
struct Known {
    pulse: Pulse,
    newest: Term,
    heard_at: Instant,
}

impl Default for Known {
    fn default() -> Self {
        Self { pulse: Pulse::default(), newest: Term(0), heard_at: Instant::now() }
    }
}

impl Known {
    fn learn(&mut self, welcome: &v1::Welcome) {
        *self = Self { pulse: Pulse::of(welcome.heartbeat_ms), newest: Term(welcome.term), heard_at: Instant::now() };
    }

    /// A deposed leader may not know it yet, and has nothing to give. After a long silence the store may be another.
    fn is_deposed(&self, welcome: &v1::Welcome) -> bool {
        Term(welcome.term) < self.newest && self.heard_at.elapsed() < HOLD
    }
}

type Messages = Streaming<v1::CoordinatorMessage>;

async fn open(options: &AgentOptions, address: &str, known: &Known) -> Result<(Opened, Messages), Refusal> {
    let opened = timeout(OPEN_DEADLINE, dial(options, address, known.pulse)).await;
    let late = |_| format!("{address} did not answer within {} s", OPEN_DEADLINE.as_secs());
    let (opened, messages) = opened.map_err(late)??;
    if known.is_deposed(&opened.welcome) {
        let term = opened.welcome.term;
        return Err(format!("{address} leads term {term}, but term {} was here already", known.newest).into());
    }
    Ok((opened, messages))
}

async fn dial(options: &AgentOptions, address: &str, pulse: Pulse) -> Result<(Opened, Messages), Refusal> {
    let channel = target(options, address, pulse)?.connect(options.certificate.as_ref()).await;
    let channel = channel.map_err(|e| format!("cannot reach {address}: {}", innermost(&e)))?;
    let mut client = Credentials::new(options.token.as_deref())?.client(channel);
    let (outbox, ours) = mpsc::channel(OUTBOX);
    drop(outbox.send(message(v1::worker_message::Kind::Hello(hello(options)))).await); // the channel is empty and open
    let refused = |status| refusal(address, &status);
    let mut messages = client.session(ReceiverStream::new(ours)).await.map_err(refused)?.into_inner();
    match messages.message().await.map_err(refused)?.and_then(|first| first.kind) {
        Some(Kind::Welcome(welcome)) => Ok((Opened { client, outbox, welcome, address: address.to_owned() }, messages)),
        Some(Kind::Map(_) | Kind::MapPhase(_) | Kind::MapLeases(_) | Kind::Gang(_) | Kind::Abort(_)) | None => {
            Err(format!("{address} did not begin with a welcome").into())
        }
    }
}

/// Pings find a host that is gone without a word, and a process that is stopped: their kernel closes nothing.
fn target(options: &AgentOptions, address: &str, pulse: Pulse) -> Result<Target, String> {
    let target = Target::new(address, options.certificate.as_ref()).map_err(|e| e.to_string())?;
    Ok(target.with(|endpoint| {
        endpoint
            .connect_timeout(pulse.connect_deadline())
            .http2_keep_alive_interval(pulse.ping_every())
            .keep_alive_timeout(pulse.ping_deadline())
            .keep_alive_while_idle(true)
    }))
}

fn hello(options: &AgentOptions) -> v1::WorkerHello {
    v1::WorkerHello {
        worker: options.id.to_string(),
        version: WIRE_VERSION,
        host: options.host.clone(),
        device: options.device.clone(),
        slots: options.slots.get(),
        memory_bytes: options.memory_bytes,
        release: env!("CARGO_PKG_VERSION").to_owned(),
        instance: options.instance.clone(),
    }
}

fn refusal(address: &str, status: &tonic::Status) -> Refusal {
    let leader = status.metadata().get(LEADER_METADATA).and_then(|value| value.to_str().ok());
    let leader = leader.filter(|_| status.code() == tonic::Code::Unavailable).map(str::to_owned);
    Refusal { reason: format!("{address} refused the session: {}", status.message()), leader }
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the coordinator closed the session")]
    Closed,
    #[error("the session broke: {0}")]
    Broke(String),
    #[error("{0} leads in a later term")]
    Superseded(String),
}

/// Passes messages on and sends heartbeats. `Ok` where nobody takes the events any more.
async fn serve(
    opened: Opened,
    mut messages: Messages,
    options: &AgentOptions,
    (pulse, events): (Pulse, &mpsc::Sender<SessionEvent>),
) -> Result<(), End> {
    let period = pulse.send_every();
    let mut heartbeats = interval_at(Instant::now() + period, period);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Weak, so that the agent's own end is what closes the session.
    let outbox = opened.outbox.downgrade();
    let (address, term) = (opened.address.clone(), Term(opened.welcome.term));
    let mut later_leader = pin!(lookout::later_leader(options, (&address, term), pulse));
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
                Ok(None) => return Err(End::Closed),
                Err(status) => return Err(End::Broke(status.message().to_owned())),
            },
            leader = &mut later_leader => return Err(End::Superseded(leader)),
            _ = heartbeats.tick() => if let Some(outbox) = outbox.upgrade() {
                // A full outbox is a sign of life on its way already.
                drop(outbox.try_send(message(v1::worker_message::Kind::Heartbeat(v1::Heartbeat::default()))));
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
