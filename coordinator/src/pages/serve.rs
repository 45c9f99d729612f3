//! HTTP/1.1 over whatever connections come, until told to stop.
//!
//! It must never wait for ever for a browser: not for its headers, nor for its bytes to be taken in at the end.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lethe_tls::Stream;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// From the headers of a form to the answer's own: longer than a call waits for a leader, and then for the driver, who is asked twice
/// and may take a minute each time.
const FORM_DEADLINE: Duration = Duration::from_secs(150);
/// The same of a page: the suspects of a large audit, or a picture among those of its shard, come from a store that may be slow.
const PAGE_DEADLINE: Duration = Duration::from_secs(2 * 60);
/// A connection ends by then whatever it does: a report of tens of MiB has come over a slow line.
const CONNECTION_LIFE: Duration = Duration::from_secs(15 * 60);
/// Connections at once: browsers keep a handful each.
const MOST: usize = 1_024;

/// Serves until `stop` changes or its sender is gone.
pub async fn serve(
    router: Router,
    mut connections: ReceiverStream<std::io::Result<Stream>>,
    mut stop: watch::Receiver<()>,
) {
    let router = router.layer(axum::middleware::from_fn(in_time)).layer(axum::middleware::map_response(harden));
    let room = std::sync::Arc::new(Semaphore::new(MOST));
    loop {
        let connection = tokio::select! {
            connection = connections.next() => connection,
            _ = stop.changed() => return,
        };
        let Some(connection) = connection else { return };
        // One that comes when there is no room is closed, and its browser tries again.
        let (Ok(connection), Ok(place)) = (connection, std::sync::Arc::clone(&room).try_acquire_owned()) else {
            continue;
        };
        let (service, mut stop) = (TowerToHyperService::new(router.clone()), stop.clone());
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
            let serving = http.serve_connection(TokioIo::new(connection), service);
            tokio::select! {
                served = timeout(CONNECTION_LIFE, serving) => drop(served), // a browser that is gone needs no telling
                _ = stop.changed() => {}
            }
            drop(place);
        });
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    let (deadline, code, why) = match request.method().is_safe() {
        true => {
            (PAGE_DEADLINE, StatusCode::GATEWAY_TIMEOUT, "this is still being read from the store; load the page again")
        }
        false => (
            FORM_DEADLINE,
            StatusCode::GATEWAY_TIMEOUT,
            "this took too long, and may have been done all the same: go back and look before you try again",
        ),
    };
    timeout(deadline, next.run(request)).await.unwrap_or_else(|_| (code, why).into_response())
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}
