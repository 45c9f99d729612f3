//! `/metrics`, `/healthz` and `/readyz` over plain HTTP, on an address of their own.
//!
//! It must never change anything, nor tell what is not for everybody on the cluster's network; and no one who asks may hold up
//! the process, however many or slow they are.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::health::Readiness;
use crate::page::CONTENT_TYPE;

const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// A scraper keeps one open; it ends by then whatever it does, and is opened again.
const CONNECTION_LIFE: Duration = Duration::from_secs(15 * 60);
/// A scraper, a probe, a person: each a connection or two.
const MOST: usize = 64;
/// What is asked again sooner gets the same answer, so that nobody makes the process or its store work by asking.
const FRESH: Duration = Duration::from_secs(1);
/// Where the system has no more sockets for us, none comes free any sooner by asking.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics on {address}: {source}")]
pub struct ServeError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Binds an address; port 0 lets the system choose, and the log says which.
///
/// # Errors
/// One that is taken, or not this machine's.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let failed = |source| ServeError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!(address = %listener.local_addr().map_err(failed)?, "metrics are served");
    Ok(listener)
}

/// Finds out what is told, each time it is asked.
pub struct Ask<T>(Box<dyn Fn() -> Pin<Box<dyn Future<Output = T> + Send>> + Send + Sync>);

impl<T> Ask<T> {
    pub fn new<A: Future<Output = T> + Send + 'static>(ask: impl Fn() -> A + Send + Sync + 'static) -> Self {
        Self(Box::new(move || Box::pin(ask())))
    }
}

/// What is told, and when it was found out.
struct Told {
    metrics: Ask<String>,
    readiness: Ask<Readiness>,
    last_metrics: Mutex<Option<(Instant, String)>>,
    last_readiness: Mutex<Option<(Instant, Readiness)>>,
}

/// Serves for ever: whoever started it ends it.
pub async fn serve(listener: TcpListener, metrics: Ask<String>, readiness: Ask<Readiness>) -> Infallible {
    let told = Told { metrics, readiness, last_metrics: Mutex::default(), last_readiness: Mutex::default() };
    let router = Router::new()
        .route("/metrics", get(scrape))
        .route("/readyz", get(ready))
        .route("/healthz", get(async || "alive\n"))
        .with_state(Arc::new(told));
    let room = Arc::new(Semaphore::new(MOST));
    loop {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // One that comes when there is no room is closed: a scraper comes again.
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
            // One that is gone needs no telling.
            drop(timeout(CONNECTION_LIFE, http.serve_connection(TokioIo::new(connection), service)).await);
            drop(place);
        });
    }
}

async fn scrape(State(told): State<Arc<Told>>) -> Response {
    let text = fresh(&told.last_metrics, &told.metrics).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

async fn ready(State(told): State<Arc<Told>>) -> Response {
    let Readiness { is_ready, why } = fresh(&told.last_readiness, &told.readiness).await;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{why}\n")).into_response()
}

/// The last answer while it is fresh; else a new one, which those who ask meanwhile wait for.
async fn fresh<T: Clone>(last: &Mutex<Option<(Instant, T)>>, ask: &Ask<T>) -> T {
    let mut last = last.lock().await;
    if let Some((at, answer)) = &*last
        && at.elapsed() < FRESH
    {
        return answer.clone();
    }
    let answer = (ask.0)().await;
    *last = Some((Instant::now(), answer.clone()));
    answer
}
