//! `/metrics`, `/healthz` and `/readyz` over plain HTTP, on an address of their own.
//!
//! It must never change anything, nor tell what is not for everybody on the cluster's network; and no one who asks may hold up
//! the process, however many or slow they are.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
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
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::health::Readiness;
use crate::page::CONTENT_TYPE;

const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// A scraper keeps one open; it ends by then whatever it does, and is opened again.
const CONNECTION_LIFE: Duration = Duration::from_secs(15 * 60);
/// A scraper, a probe, a person: each a connection or two. Of more, see [`Crowd`].
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
    let mut crowd = Crowd::default();
    loop {
        let (connection, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let served = tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
            // One that is gone needs no telling.
            drop(timeout(CONNECTION_LIFE, http.serve_connection(TokioIo::new(connection), service)).await);
        });
        crowd.enter(from.ip(), served.abort_handle());
    }
}

/// Whose connections are open, the oldest first.
///
/// A newcomer is always let in, since it may be a kubelet that asks whether to restart us: where there are too many, whoever has the most
/// loses its oldest.
#[derive(Default)]
struct Crowd(Vec<(IpAddr, AbortHandle)>);

impl Crowd {
    fn enter(&mut self, from: IpAddr, connection: AbortHandle) {
        self.0.retain(|(_, connection)| !connection.is_finished());
        if self.0.len() >= MOST
            && let Some(at) = self.oldest_of_the_most()
        {
            self.0.remove(at).1.abort();
        }
        self.0.push((from, connection));
    }

    fn oldest_of_the_most(&self) -> Option<usize> {
        let count = |whose: &IpAddr| self.0.iter().filter(|(from, _)| from == whose).count();
        // Of those with equally many the oldest, which `max_by_key` would pass over.
        (0..self.0.len()).rev().max_by_key(|at| count(&self.0[*at].0))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[tokio::test]
    async fn who_has_the_most_connections_loses_the_oldest_and_nobody_else_any() {
        let (mut crowd, mut open) = (Crowd::default(), Vec::new());
        let mut enter = |last: u8| {
            let task = tokio::spawn(std::future::pending::<()>());
            crowd.enter(from(last), task.abort_handle());
            open.push((last, task));
        };
        enter(7);
        (0..MOST + 10).for_each(|_| enter(1));
        enter(9);
        let mut ended = Vec::new();
        for (at, (last, task)) in open.iter_mut().enumerate() {
            if tokio::time::timeout(Duration::from_millis(1), task).await.is_ok() {
                ended.push((at, *last));
            }
        }
        let oldest: Vec<(usize, u8)> = (1..=12).map(|at| (at, 1)).collect();
        assert_eq!(ended, oldest);
    }

    #[tokio::test]
    async fn what_has_ended_takes_no_place() {
        let (mut crowd, gone) = (Crowd::default(), tokio::spawn(async {}));
        let ended = gone.abort_handle();
        gone.await.expect("ends");
        (0..MOST).for_each(|_| crowd.enter(from(1), ended.clone()));
        let stays = tokio::spawn(std::future::pending::<()>());
        crowd.enter(from(2), stays.abort_handle());
        assert_eq!(crowd.0.len(), 1);
    }
}
