//! The whole coordinator as one call: store, election, driver and api over a listener, until a shutdown.
//!
//! It must never serve beyond loopback without certificates: a token in the clear is no guard. Metrics and probes alone go
//! without, on an address of their own: they change nothing and name nobody.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lethe_common::blob::BlobError;
use lethe_engine::{Knobs, KnobsError};
use lethe_source::SourceError;
use lethe_telemetry::ServeError;
use lethe_telemetry::spans::Spans;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tonic::transport::Server;
use tracing::{info, warn};

use crate::api::limits::{self, Crowd};
use crate::api::{AuditsApi, ClusterFacts, Gate, Guard, Places, Seat, SessionTerms, Standing, WorkersApi};
use crate::driver::{DriverConfig, DriverError};
use crate::metrics::{self, Metrics};
use crate::pages::{self, Pages, Sessions};
use crate::reign::{Reigns, rule};
use crate::results::ResultFolder;
use crate::review::Shelf;
use crate::store::{Candidate, EtcdAddress, Store, StoreError};

/// What open calls get to end in, once the driver has closed every session and watch.
const DRAIN_DEADLINE: Duration = Duration::from_secs(3);

/// A connection that nobody answers on is closed, so that what it holds is not held for ever. Both outlast any wait of the
/// knobs: whether a worker lives is seen by its heartbeats, and not by this.
const PING_EVERY: Duration = Duration::from_secs(60);
const PONG_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Config {
    /// Holds `blobs/` where no other place is given for them, and `store.redb` where the store is embedded.
    pub work: PathBuf,
    /// Where the blobs lie, as [`lethe_source::open_blobs`] takes it; absent where it is the work folder.
    pub blobs: Option<String>,
    pub results: ResultFolder,
    pub store: StoreChoice,
    /// What workers and clients dial; absent where it is the address listened on.
    pub advertise: Option<String>,
    pub knobs: Knobs,
    pub gate: Gate,
    /// What specs may name.
    pub places: Places,
    /// Where pages are served; absent where they are not.
    pub pages: Option<PagesAt>,
    /// Where metrics and probes are served, in the clear; absent where they are not.
    pub metrics: Option<SocketAddr>,
    /// Who is told of what has ended.
    pub spans: Spans,
}

/// Where browsers are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesAt {
    pub listen: SocketAddr,
    /// What browsers dial; absent where it is the address listened on.
    pub url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// A file of the work folder: one coordinator.
    Embedded,
    /// Any number of coordinators, of which one leads.
    Etcd(EtcdAddress),
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(
        "{0} is not a loopback address, where a token is no guard: listen on 127.0.0.1, or use --tls (`lethe pki`)"
    )]
    NotLoopback(SocketAddr),
    #[error("nobody can dial {0}: say with --advertise where workers and clients reach this coordinator")]
    NoAddress(SocketAddr),
    #[error(
        "--pages-url {0}: expected such as https://lethe.example:7480, without a path; http:// is for loopback without --tls"
    )]
    PagesUrl(String),
    #[error("nobody can dial {0}: say with --pages-url where browsers reach the pages")]
    NoPagesAddress(SocketAddr),
    #[error("--advertise {address} is {found}; expected {expected}: as clients dial it, so it is served")]
    Advertise { address: String, found: &'static str, expected: &'static str },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the work folder {} cannot be used: {source}", path.display())]
    Work { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Knobs(#[from] KnobsError),
    #[error(transparent)]
    Lead(#[from] DriverError),
    #[error("blobs cannot be kept: {0}")]
    Blobs(#[from] BlobError),
    #[error("--blobs: {0}")]
    BlobRoot(#[from] SourceError),
    #[error(transparent)]
    Metrics(#[from] ServeError),
    #[error("the server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    #[error("a part of the server panicked: {0}")]
    Panic(tokio::task::JoinError),
}

/// Binds an address, which without certificates is a loopback one; port 0 lets the system choose.
///
/// # Errors
/// An address that the gate does not guard; one that is taken.
pub async fn listen(address: SocketAddr, gate: &Gate) -> Result<TcpListener, ServerError> {
    guarded(address, gate)?;
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, source })
}

/// Serves until `shutdown` ends or nothing mends the store; then sessions and watches are closed and what still
/// runs is given a few seconds. Calls are refused, with the leader's address, while another coordinator leads.
///
/// # Errors
/// What kept it from starting, or the driver's own failure.
pub async fn run(listener: TcpListener, config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
    let address = listener.local_addr().map_err(|source| ServerError::Work { path: config.work.clone(), source })?;
    guarded(address, &config.gate)?;
    let waits: Vec<String> = config.knobs.waits().iter().map(|(name, ms)| format!("{name}={ms}")).collect();
    info!(waits = waits.join(" "), "each wait outlasts the one before it");
    let parts = open(&config, address).await?;
    let site = site(&config).await?;
    let (standing, seat) = watch::channel(Standing::Standby { leader: None });
    let (drain, drained) = oneshot::channel::<()>();
    let seat = Seat(seat);
    let (stop, stopped) = watch::channel(());
    let metrics = metrics_server(&config, (&parts.reigns, &seat)).await?;
    let (crowd, shelf) = (Crowd::default(), Shelf::default());
    let pages = site.map(|(listener, url)| {
        let blobs = parts.reigns.driver.blobs.clone();
        let shared = (crowd.clone(), shelf.clone());
        let pages = Pages::new((seat.clone(), blobs), config.places.clone(), url, shared);
        let connections = lethe_tls::accept(listener, config.gate.browsers());
        tokio::spawn(pages::serve(pages::router(pages.clone()), connections, stopped));
        (pages.url, pages.sessions)
    });
    let guard = Guard { gate: config.gate.clone(), crowd };
    let mut server = tokio::spawn(serve((listener, guard), seat, (&config, &parts, pages, shelf), drained));
    let ended = rule(&parts.reigns, &standing, shutdown).await;
    drop((drain, stop));
    metrics.iter().for_each(AbortHandle::abort);
    finish(&mut server).await?;
    ended
}

fn guarded(address: SocketAddr, gate: &Gate) -> Result<(), ServerError> {
    match gate {
        Gate::Token(_) if !address.ip().is_loopback() => Err(ServerError::NotLoopback(address)),
        Gate::Token(_) | Gate::Certificates(_) => Ok(()),
    }
}

/// Metrics and probes, from the time at which calls are taken, whoever leads.
async fn metrics_server(config: &Config, (reigns, seat): (&Reigns, &Seat)) -> Result<Option<AbortHandle>, ServeError> {
    let Some(address) = config.metrics else { return Ok(None) };
    let listener = lethe_telemetry::listen(address).await?;
    let (counted, store) = (reigns.driver.metrics.clone(), reigns.store.clone());
    Ok(Some(tokio::spawn(metrics::serve(listener, counted, (seat.clone(), store))).abort_handle()))
}

/// The listener of the pages, and where they are reached.
async fn site(config: &Config) -> Result<Option<(TcpListener, String)>, ServerError> {
    let Some(PagesAt { listen: wanted, url }) = &config.pages else { return Ok(None) };
    let listener = listen(*wanted, &config.gate).await?;
    let address = listener.local_addr().map_err(|source| ServerError::Listen { address: *wanted, source })?;
    let scheme = if config.gate.credentials().is_some() { "https" } else { "http" };
    let url = match url {
        Some(url) => pages_url(url, scheme)?,
        None if address.ip().is_unspecified() => return Err(ServerError::NoPagesAddress(address)),
        None => format!("{scheme}://{address}"),
    };
    info!(url, "pages are served; `lethe open` logs a browser in");
    Ok(Some((listener, url)))
}

/// With certificates https alone; without them a proxy may speak https to browsers, and only loopback goes without.
fn pages_url(url: &str, scheme: &str) -> Result<String, ServerError> {
    let wrong = || ServerError::PagesUrl(url.to_owned());
    let bare = url.trim_end_matches('/');
    let uri: tonic::transport::Uri = bare.parse().map_err(|_| wrong())?;
    let is_origin = uri.path() == "/" && uri.query().is_none() && !bare.contains('@');
    let host = uri.host().unwrap_or_default();
    let is_safe = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => scheme == "http" && lethe_tls::is_loopback(host),
        Some(_) | None => false,
    };
    if is_origin && is_safe && !host.is_empty() { Ok(bare.to_owned()) } else { Err(wrong()) }
}

/// Where others dial this coordinator.
fn dialled(config: &Config, address: SocketAddr) -> Result<String, ServerError> {
    let (scheme, other) = match config.gate {
        Gate::Token(_) => ("http://", "https://"),
        Gate::Certificates(_) => ("https://", "http://"),
    };
    match &config.advertise {
        Some(given) if given.starts_with(scheme) => Ok(given.clone()),
        Some(given) => {
            let found = if given.starts_with(other) { other } else { "no URL" };
            Err(ServerError::Advertise { address: given.clone(), found, expected: scheme })
        }
        None if address.ip().is_unspecified() => Err(ServerError::NoAddress(address)),
        None => Ok(format!("{scheme}{address}")),
    }
}

struct Parts {
    reigns: Reigns,
    terms: SessionTerms,
    facts: ClusterFacts,
}

async fn open(config: &Config, address: SocketAddr) -> Result<Parts, ServerError> {
    let unusable = |source| ServerError::Work { path: config.work.clone(), source };
    std::fs::create_dir_all(&config.work).map_err(unusable)?;
    let work = config.work.canonicalize().map_err(unusable)?;
    let blob_root = config.blobs.clone().unwrap_or_else(|| format!("file://{}", work.join("blobs").display()));
    let blobs = lethe_source::open_blobs(&blob_root, &work.join("scratch"))?;
    blobs.check().await?;
    let store = match &config.store {
        StoreChoice::Embedded => Store::open(&config.work)?,
        StoreChoice::Etcd(etcd) => Store::connect(etcd).await?,
    };
    let (knobs, results) = (config.knobs.clone(), config.results.clone());
    let address = dialled(config, address)?;
    let candidate = Candidate { address: address.clone(), ttl: Duration::from_millis(knobs.takeover_ms) };
    let facts = ClusterFacts { address, store: store.describe(), knobs: knobs.clone() };
    let terms = SessionTerms { heartbeat_ms: knobs.heartbeat_ms, blob_root };
    let driver = DriverConfig { knobs, blobs, results, metrics: Metrics::default(), spans: config.spans.clone() };
    Ok(Parts { reigns: Reigns { store, candidate, driver }, terms, facts })
}

fn serve(
    (listener, guard): (TcpListener, Guard),
    seat: Seat,
    (config, parts, pages, shelf): (&Config, &Parts, Option<(String, Sessions)>, Shelf),
    drained: oneshot::Receiver<()>,
) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static {
    let workers = WorkersApi::new(seat.clone(), parts.terms.clone());
    let audits = AuditsApi::service(
        seat,
        parts.facts.clone(),
        parts.reigns.driver.blobs.clone(),
        (config.places.clone(), pages, shelf),
    );
    let router = Server::builder()
        .max_concurrent_streams(limits::MAX_STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(limits::MAX_HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(limits::MAX_PENDING_RESETS))
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PONG_DEADLINE))
        .layer(guard)
        .add_service(workers.service())
        .add_service(audits);
    let incoming = lethe_tls::accept(listener, config.gate.callers());
    router.serve_with_incoming_shutdown(incoming, async { drop(drained.await) })
}

async fn finish(server: &mut JoinHandle<Result<(), tonic::transport::Error>>) -> Result<(), ServerError> {
    match tokio::time::timeout(DRAIN_DEADLINE, &mut *server).await {
        Ok(Ok(served)) => Ok(served?),
        Ok(Err(panic)) => Err(ServerError::Panic(panic)),
        Err(_elapsed) => {
            warn!("calls still open after {} s are cut", DRAIN_DEADLINE.as_secs());
            server.abort();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_sent_to_nothing_in_the_clear_but_loopback() {
        for (url, scheme, is_taken) in [
            ("https://lethe.example:7480/", "https", true),
            ("https://proxy.example", "http", true),
            ("http://localhost:7480", "http", true),
            ("http://[::1]:7480", "http", true),
            ("http://lethe.example:7480", "http", false),
            ("http://127.0.0.1:7480", "https", false),
            ("https://lethe.example/under", "https", false),
            ("https://me:secret@lethe.example", "https", false),
            ("lethe.example:7480", "https", false),
            ("ftp://127.0.0.1", "http", false),
        ] {
            assert_eq!(pages_url(url, scheme).is_ok(), is_taken, "{url} over {scheme}");
        }
    }
}
