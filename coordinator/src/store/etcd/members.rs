//! The members of an etcd, asked one after the other until one answers.
//!
//! It must never let a dead member hold a call up: each try has a short deadline of its own, and the
//! member that answered last is asked first. The client library's own balancing is not used, since it
//! keeps a stopped member in the draw.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Channel, Client, ConnectOptions, Error};
use lethe_common::backoff::Backoff;
use lethe_tls::Outside;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use tonic::codegen::http::uri::{InvalidUri, Uri};
use tonic::transport::Endpoint;

use crate::store::{EtcdAddress, StoreError, draw};

/// A try's deadline in the first round; it doubles each round, for a cluster that is only slow.
const FIRST_TRY: Duration = Duration::from_secs(1);
/// Between rounds over all members.
const PAUSE: Backoff = Backoff { first_ms: 50, cap_ms: 1_000 };
/// etcd bans clients that ping more often than every 5 s.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_DEADLINE: Duration = Duration::from_secs(3);

pub(super) struct Members {
    members: Vec<Member>,
    /// The member that is asked first: the last that answered.
    preferred: AtomicUsize,
    description: String,
}

pub(super) struct Member {
    pub endpoint: String,
    client: Client,
}

/// What an error says about the next try.
enum Verdict {
    /// Another member, or the same one later, may answer.
    Again,
    Full,
    /// The lease that the call names is no more.
    Expired,
    Final,
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.description)
    }
}

impl Members {
    /// Connects lazily; must be called within a runtime.
    pub fn new(address: &EtcdAddress) -> Result<Self, StoreError> {
        let tls = address.tls.as_ref();
        let members = address.endpoints.iter().map(|url| connect(url, tls)).collect::<Result<Vec<_>, _>>()?;
        let host = |url: &String| url.split_once("://").map_or(url.as_str(), |(_, host)| host).to_owned();
        let hosts: Vec<String> = address.endpoints.iter().map(host).collect();
        let how = if tls.is_some() { " over TLS" } else { "" };
        let description = format!("etcd at {} under {}{how}", hosts.join(", "), address.prefix);
        Ok(Self { members, preferred: AtomicUsize::new(0), description })
    }

    pub fn describe(&self) -> String {
        self.description.clone()
    }

    pub fn all(&self) -> &[Member] {
        &self.members
    }

    /// Asks member after member until one answers, at most until the deadline.
    ///
    /// # Errors
    /// [`StoreError::Deadline`] with the last try's error, [`StoreError::NoSpace`], and what no other
    /// member would answer otherwise.
    pub async fn call<T, F>(
        &self,
        action: &'static str,
        deadline: Duration,
        ask: impl Fn(Client) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let start = Instant::now();
        let mut last = String::new();
        for round in 0_u32.. {
            for _ in &self.members {
                let left = deadline.saturating_sub(start.elapsed());
                if left.is_zero() {
                    return Err(self.deadline(action, deadline, last));
                }
                let patience = left.min((deadline / 2).min(FIRST_TRY) * (1 << round.min(10)));
                match self.ask_preferred(patience, &ask).await {
                    Ok(answer) => return Ok(answer),
                    Err((Verdict::Again, reason)) => last = reason,
                    Err((Verdict::Full, _)) => return Err(self.full()),
                    Err((Verdict::Expired, _)) => return Err(StoreError::Expired { store: self.describe(), action }),
                    Err((Verdict::Final, reason)) => {
                        return Err(StoreError::Etcd { store: self.describe(), action, reason });
                    }
                }
            }
            sleep(PAUSE.pause(round, draw()).min(deadline.saturating_sub(start.elapsed()))).await;
        }
        unreachable!("the deadline ends the rounds")
    }

    /// Asks the preferred member; where it fails, the next one is preferred.
    async fn ask_preferred<T, F>(&self, patience: Duration, ask: &impl Fn(Client) -> F) -> Result<T, (Verdict, String)>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let index = self.preferred.load(Ordering::Relaxed);
        let member = &self.members[index];
        let told = member.ask(patience, ask).await;
        if let Err((Verdict::Again, _)) = told {
            let next = (index + 1) % self.members.len();
            // Another call may have moved it already.
            self.preferred.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed).ok();
        }
        told.map_err(|(verdict, reason)| (verdict, format!("{}: {reason}", member.endpoint)))
    }

    pub fn deadline(&self, action: &'static str, deadline: Duration, last: String) -> StoreError {
        StoreError::Deadline { store: self.describe(), action, seconds: deadline.as_secs_f64(), last }
    }

    /// [`StoreError::NoSpace`] before its figures are known.
    fn full(&self) -> StoreError {
        StoreError::NoSpace { store: self.describe(), size_bytes: 0, quota: "unknown size".to_owned() }
    }
}

impl Member {
    /// One try at this very member.
    pub async fn try_once<T, F>(&self, patience: Duration, ask: impl Fn(Client) -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.ask(patience, &ask).await.map_err(|(_, reason)| format!("{}: {reason}", self.endpoint))
    }

    async fn ask<T, F>(&self, patience: Duration, ask: &impl Fn(Client) -> F) -> Result<T, (Verdict, String)>
    where
        F: Future<Output = Result<T, Error>>,
    {
        match timeout(patience, ask(self.client.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err((judge(&error), error.to_string())),
            Err(_elapsed) => Err((Verdict::Again, format!("no answer within {} ms", patience.as_millis()))),
        }
    }
}

fn connect(url: &str, tls: Option<&Outside>) -> Result<Member, StoreError> {
    let wrong = |reason: String| StoreError::Address { address: url.to_owned(), reason };
    let address: Uri = url.parse().map_err(|e: InvalidUri| wrong(e.to_string()))?;
    let set = |endpoint: Endpoint| {
        let pinged = endpoint.http2_keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_DEADLINE);
        pinged.connect_timeout(FIRST_TRY).tcp_nodelay(true)
    };
    let channel = match tls {
        Some(tls) => tls.connect_lazy(address, set),
        None => set(Endpoint::from(address)).connect_lazy(),
    };
    // A member that knows no leader says so at once instead of waiting for one.
    let options = ConnectOptions::new().with_require_leader(true);
    let client = futures::executor::block_on(Client::from_channel(Channel::Tonic(channel), Some(options)))
        .map_err(|e| wrong(e.to_string()))?; // without a user it asks nothing, so that it cannot wait
    Ok(Member { endpoint: url.to_owned(), client })
}

/// etcd gives errors of its own that have no code as Unknown, and broken connections under many codes.
fn judge(error: &Error) -> Verdict {
    let Error::GRpcStatus(status) = error else { return judge_transport(error) };
    match status.code() {
        Code::ResourceExhausted if status.message().contains("space exceeded") => Verdict::Full,
        Code::NotFound if status.message().contains("lease not found") => Verdict::Expired,
        Code::Unavailable
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Internal
        | Code::Aborted
        | Code::ResourceExhausted => Verdict::Again,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => Verdict::Final,
    }
}

fn judge_transport(error: &Error) -> Verdict {
    match error {
        Error::TransportError(_) | Error::IoError(_) | Error::WatchError(_) => Verdict::Again,
        _ => Verdict::Final, // the library's own complaints about arguments
    }
}
