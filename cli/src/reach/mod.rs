//! Reaches the coordinator that leads, whichever of several it is: tries, follows where it is pointed, waits, tries again.
//!
//! It must never try without bound, and never hide what it tried: the error names every address and its last answer.

mod address;
mod credentials;
mod deed;
mod near;
mod watch;

pub use credentials::Credentials;
pub use near::near;
pub use watch::{News, Views};

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use lethe_common::backoff::Backoff;
use lethe_proto::v1::audits_client::AuditsClient;
use lethe_tls::{Role, TargetError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep, timeout};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::exit::bad_input;

use address::Address;
use deed::{Deed, deed};

pub type Client = AuditsClient<InterceptedService<Channel, Credentials>>;

/// Whose certificates this command is for.
const PEOPLE: [Role; 3] = [Role::Admin, Role::Submitter, Role::Viewer];

const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// Pings find a host that is gone without a word: its kernel closes nothing, and a stream of views may be silent for hours.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_DEADLINE: Duration = Duration::from_secs(5);
/// From a call to its answer, or to a stream's first.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Coordinators that point at each other must not send us round for ever.
const MAX_HOPS: u32 = 3;
/// As the store's pages may grow.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// How long to go on when no leader answers.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Rounds over all addresses while none of them answers at all: most often a wrong address.
    pub silent_rounds: u32,
    /// In all, where some answer and none leads: an election takes seconds.
    pub total: Duration,
}

impl Patience {
    pub const CALL: Self = Self { silent_rounds: 5, total: Duration::from_secs(20) };
    /// A person waits with a finger on a key.
    pub const COMPLETION: Self = Self { silent_rounds: 1, total: Duration::from_millis(500) };
    /// Who was served before will be served again.
    pub const WATCH: Self = Self { silent_rounds: u32::MAX, total: Duration::from_secs(60) };
}

pub struct Coordinators {
    given: Vec<Address>,
    /// The one that served last, or that another called the leader.
    leader: Option<Address>,
    token: Credentials,
    certificate: Option<lethe_tls::Credentials>,
    channels: BTreeMap<Address, Channel>,
    jitter: ChaCha8Rng,
}

impl Coordinators {
    /// # Errors
    /// Bad input: an address that is none or would be dialled in the clear, a certificate that is none, a token that no header
    /// can carry.
    pub fn new(addresses: &[String], certificate: Option<&Path>) -> anyhow::Result<Self> {
        let load = |folder| lethe_tls::Credentials::of_roles(folder, &PEOPLE).map_err(|e| bad_input(e.to_string()));
        Self::with(addresses, Credentials::from_environment()?, certificate.map(load).transpose()?)
    }

    /// With a token that is not the environment's.
    pub fn with_token(addresses: &[String], token: &str) -> anyhow::Result<Self> {
        Self::with(addresses, Credentials::of(token)?, None)
    }

    fn with(
        addresses: &[String],
        token: Credentials,
        certificate: Option<lethe_tls::Credentials>,
    ) -> anyhow::Result<Self> {
        let given = addresses.iter().map(|text| Address::new(text)).collect::<Result<Vec<_>, _>>()?;
        for address in &given {
            address.target(certificate.as_ref()).map_err(|e| bad_input(e.to_string()))?;
        }
        // Jitter needs no more than a seed that differs between commands started at once.
        let jitter = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()));
        Ok(Self { given, leader: None, token, certificate, channels: BTreeMap::new(), jitter })
    }

    /// As whom a coordinator knows us, where a certificate says so.
    pub fn name(&self) -> Option<String> {
        self.certificate.as_ref().map(|certificate| certificate.identity().name().to_owned())
    }

    /// Asks the leader once, with all the tries it takes to find it. The question must be idempotent.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<T>(
        &mut self,
        patience: Patience,
        ask: impl AsyncFn(Client) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let mut tried = Tried::default();
        for round in 0_u32.. {
            if let Some(answer) = self.round(&ask, &mut tried).await {
                return answer;
            }
            let silent = !tried.answered && round + 1 >= patience.silent_rounds;
            let pause = Backoff::RECONNECT.pause(round, self.jitter.random());
            if silent || started.elapsed() + pause > patience.total {
                break;
            }
            sleep(pause).await;
        }
        Err(CallError::NoLeader(tried.told(started.elapsed())))
    }

    /// Asks the first address alone, once, whether it leads or not.
    pub async fn ask_once<T>(&mut self, ask: impl AsyncFn(Client) -> Result<T, Status>) -> Result<T, Status> {
        let address = self.given.first().cloned().ok_or_else(|| Status::invalid_argument("no address was given"))?;
        self.ask(&address, &ask).await
    }

    /// Every address once, the likely leader first; where one points elsewhere, that one next.
    async fn round<T>(
        &mut self,
        ask: &impl AsyncFn(Client) -> Result<Response<T>, Status>,
        tried: &mut Tried,
    ) -> Option<Result<T, CallError>> {
        let mut hops = 0;
        let likely = self.leader.take();
        let mut next: Vec<Address> =
            self.given.iter().rev().filter(|a| likely.as_ref() != Some(a)).cloned().chain(likely.clone()).collect();
        while let Some(address) = next.pop() {
            let status = match self.ask(&address, ask).await {
                Ok(answer) => {
                    self.leader = Some(address);
                    return Some(Ok(answer.into_inner()));
                }
                Err(status) => status,
            };
            match deed(&status) {
                Deed::GiveUp => return Some(Err(CallError::Refused(status))),
                // Nobody leads us out of TLS.
                Deed::Redirect(leader) if leader.is_secure() != address.is_secure() => {
                    tried.note(&address, format!("names {leader} as the leader, which is not of its own scheme"));
                }
                Deed::Redirect(leader) if hops < MAX_HOPS && leader != address => {
                    hops += 1;
                    tried.answered = true;
                    tried.note(&address, format!("does not lead, and names {leader}"));
                    next.retain(|waiting| *waiting != leader);
                    next.push(leader);
                }
                Deed::Redirect(leader) => tried.note(&address, format!("does not lead, and names {leader}")),
                Deed::TryOther { answered, why } => {
                    tried.answered |= answered;
                    tried.note(&address, why);
                }
            }
            // A channel that failed may hold a dead connection.
            self.channels.remove(&address);
        }
        None
    }

    async fn ask<T>(
        &mut self,
        address: &Address,
        ask: &impl AsyncFn(Client) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let channel = self.channel(address).map_err(|e| Status::failed_precondition(e.to_string()))?;
        let client =
            AuditsClient::with_interceptor(channel, self.token.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        match timeout(ANSWER_DEADLINE, ask(client)).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", ANSWER_DEADLINE.as_secs()))),
        }
    }

    fn channel(&mut self, address: &Address) -> Result<Channel, TargetError> {
        if let Some(channel) = self.channels.get(address) {
            return Ok(channel.clone());
        }
        let certificate = self.certificate.as_ref();
        let target = address.target(certificate)?.with(|endpoint| {
            let pinged = endpoint.http2_keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_DEADLINE);
            pinged.connect_timeout(CONNECT_DEADLINE)
        });
        let channel = target.connect_lazy(certificate);
        self.channels.insert(address.clone(), channel.clone());
        Ok(channel)
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The leader answered, and the answer is no.
    #[error("the coordinator answered {}: {}", .0.code(), .0.message())]
    Refused(Status),
    #[error("no coordinator that leads could be reached: {0}")]
    NoLeader(String),
}

/// The last answer of each address.
#[derive(Debug, Default)]
struct Tried {
    last: BTreeMap<Address, (u32, String)>,
    /// Whether anything came back from anywhere, if only a no.
    answered: bool,
}

impl Tried {
    fn note(&mut self, address: &Address, why: String) {
        let (times, last) = self.last.entry(address.clone()).or_default();
        *times += 1;
        *last = why;
    }

    fn told(&self, took: Duration) -> String {
        let mut text = format!("tried for {}", crate::follow::phase::spoken(took));
        for (address, (times, why)) in &self.last {
            let times = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  {address} ({times}): {why}");
        }
        text
    }
}
