//! The whole coordinator as one call: store, election, driver and api over a listener, until a shutdown.
//!
//! It must never serve beyond loopback: there is no TLS yet, and a token in the clear is no guard.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lethe_common::blob::{BlobError, BlobStore};
use lethe_engine::{Knobs, KnobsError};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tracing::{info, warn};

use crate::api::{AuditsApi, ClusterFacts, Seat, SessionTerms, Standing, Token, WorkersApi};
use crate::driver::{DriverConfig, DriverError};
use crate::reign::{Reigns, rule};
use crate::results::ResultFolder;
use crate::store::{Candidate, EtcdAddress, Store, StoreError};

/// What open calls get to end in, once the driver has closed every session and watch.
const DRAIN_DEADLINE: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub struct Config {
    /// Holds `blobs/`, and `store.redb` where the store is embedded.
    pub work: PathBuf,
    pub results: ResultFolder,
    pub store: StoreChoice,
    /// What workers and clients dial; absent where it is the address listened on.
    pub advertise: Option<String>,
    pub knobs: Knobs,
    pub token: Token,
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
    #[error("{0} is not a loopback address, and there is no TLS yet: listen on 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
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
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("the server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    #[error("a part of the server panicked: {0}")]
    Panic(tokio::task::JoinError),
}

/// Binds a loopback address; port 0 lets the system choose.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    if !address.ip().is_loopback() {
        return Err(ServerError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, source })
}

/// Serves until `shutdown` ends or nothing mends the store; then sessions and watches are closed and what still
/// runs is given a few seconds. Calls are refused, with the leader's address, while another coordinator leads.
///
/// # Errors
/// What kept it from starting, or the driver's own failure.
pub async fn run(listener: TcpListener, config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
    let address = listener.local_addr().map_err(|source| ServerError::Work { path: config.work.clone(), source })?;
    if !address.ip().is_loopback() {
        return Err(ServerError::NotLoopback(address));
    }
    let waits: Vec<String> = config.knobs.waits().iter().map(|(name, ms)| format!("{name}={ms}")).collect();
    info!(waits = waits.join(" "), "each wait outlasts the one before it");
    let parts = open(&config, address).await?;
    let (standing, seat) = watch::channel(Standing::Standby { leader: None });
    let (drain, drained) = oneshot::channel::<()>();
    let mut server = tokio::spawn(serve(listener, Seat(seat), (&config, &parts), drained));
    let ended = rule(&parts.reigns, &standing, shutdown).await;
    drop(drain);
    finish(&mut server).await?;
    ended
}

struct Parts {
    reigns: Reigns,
    terms: SessionTerms,
    facts: ClusterFacts,
}

async fn open(config: &Config, address: SocketAddr) -> Result<Parts, ServerError> {
    let unusable = |source| ServerError::Work { path: config.work.clone(), source };
    std::fs::create_dir_all(&config.work).map_err(unusable)?;
    let blob_folder = config.work.canonicalize().map_err(unusable)?.join("blobs");
    let blobs = BlobStore::local(&blob_folder)?;
    let store = match &config.store {
        StoreChoice::Embedded => Store::open(&config.work)?,
        StoreChoice::Etcd(etcd) => Store::connect(etcd).await?,
    };
    let (knobs, results) = (config.knobs.clone(), config.results.clone());
    let address = config.advertise.clone().unwrap_or_else(|| format!("http://{address}"));
    let candidate = Candidate { address: address.clone(), ttl: Duration::from_millis(knobs.takeover_ms) };
    let facts = ClusterFacts { address, store: store.describe(), knobs: knobs.clone() };
    let blob_root = format!("file://{}", blob_folder.display());
    let terms = SessionTerms { heartbeat_ms: knobs.heartbeat_ms, blob_root };
    let driver = DriverConfig { knobs, blobs, results };
    Ok(Parts { reigns: Reigns { store, candidate, driver }, terms, facts })
}

fn serve(
    listener: TcpListener,
    seat: Seat,
    (config, parts): (&Config, &Parts),
    drained: oneshot::Receiver<()>,
) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static {
    let workers = WorkersApi::new(seat.clone(), parts.terms.clone());
    let router = Server::builder().add_service(workers.service(config.token.clone())).add_service(AuditsApi::service(
        seat,
        parts.facts.clone(),
        parts.reigns.driver.blobs.clone(),
        config.token.clone(),
    ));
    // Nagle's algorithm would add 40 ms to every step of a rendezvous.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
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
