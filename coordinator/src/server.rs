//! The whole coordinator as one call: store, driver and api over a listener, until a shutdown.
//!
//! It must never serve beyond loopback: there is no TLS yet, and a token in the clear is no guard.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lethe_common::blob::{BlobError, BlobStore};
use lethe_engine::{Knobs, KnobsError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tracing::{info, warn};

use crate::api::{AuditsApi, SessionTerms, Token, WorkersApi};
use crate::driver::{Driver, DriverConfig, DriverError, DriverHandle};
use crate::rendezvous::Rendezvous;
use crate::store::{Candidate, EtcdAddress, Store, StoreError};

/// A leader that is silent for this long may be followed by another.
const HEARTBEATS_A_TTL: u32 = 10;

/// What open calls get to end in, once the driver has closed every session and watch.
const DRAIN_DEADLINE: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub struct Config {
    /// Holds `blobs/`, and `store.redb` where no other store is named.
    pub work: PathBuf,
    /// The store, where it is not the work folder's.
    pub etcd: Option<EtcdAddress>,
    /// Where the report and the published checkpoint go.
    pub result: PathBuf,
    pub heartbeat_ms: u64,
    pub token: Token,
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

/// Serves until `shutdown` ends or the driver fails; then sessions and watches are closed and what
/// still runs is given a few seconds.
///
/// # Errors
/// What kept it from starting, or the driver's own failure.
pub async fn run(listener: TcpListener, config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
    let address = listener.local_addr().map_err(|source| ServerError::Work { path: config.work.clone(), source })?;
    if !address.ip().is_loopback() {
        return Err(ServerError::NotLoopback(address));
    }
    let parts = start(&config, address).await?;
    let (drain, drained) = oneshot::channel::<()>();
    let mut server = tokio::spawn(serve(listener, &parts, config.token, drained));
    let mut driver = parts.driver;
    let ended = tokio::select! {
        ended = &mut driver => ended,
        () = shutdown => {
            info!("shutting down");
            drop(parts.handle.stop().await); // a driver that is gone needs no telling
            (&mut driver).await
        }
    };
    drop(drain);
    finish(&mut server).await?;
    ended.map_err(ServerError::Panic)?.map_err(ServerError::Lead)
}

/// The running driver and what the api needs of it.
struct Parts {
    handle: DriverHandle,
    driver: JoinHandle<Result<(), DriverError>>,
    rendezvous: Arc<Rendezvous>,
    terms: SessionTerms,
}

async fn start(config: &Config, address: SocketAddr) -> Result<Parts, ServerError> {
    let unusable = |source| ServerError::Work { path: config.work.clone(), source };
    std::fs::create_dir_all(&config.work).map_err(unusable)?;
    let blob_folder = config.work.canonicalize().map_err(unusable)?.join("blobs");
    let store = match &config.etcd {
        Some(etcd) => Store::connect(etcd).await?,
        None => Store::open(&config.work)?,
    };
    info!(store = store.describe(), "the store is open");
    let rendezvous = Arc::new(Rendezvous::default());
    let heartbeat = Duration::from_millis(config.heartbeat_ms);
    let driver_config = DriverConfig {
        knobs: Knobs::from_heartbeat(config.heartbeat_ms)?,
        blobs: BlobStore::local(&blob_folder)?,
        result_folder: config.result.clone(),
        candidate: Candidate { address: format!("http://{address}"), ttl: heartbeat * HEARTBEATS_A_TTL },
    };
    let driver = Driver::new(store, Arc::clone(&rendezvous), driver_config).await?;
    let (handle, queue) = Driver::queue();
    let blob_root = format!("file://{}", blob_folder.display());
    let terms = SessionTerms { heartbeat_ms: config.heartbeat_ms, blob_root };
    Ok(Parts { handle, driver: tokio::spawn(driver.run(queue)), rendezvous, terms })
}

fn serve(
    listener: TcpListener,
    parts: &Parts,
    token: Token,
    drained: oneshot::Receiver<()>,
) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static {
    let workers = WorkersApi::new(parts.handle.clone(), Arc::clone(&parts.rendezvous), parts.terms.clone());
    let router = Server::builder()
        .add_service(workers.service(token.clone()))
        .add_service(AuditsApi::service(parts.handle.clone(), token));
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
