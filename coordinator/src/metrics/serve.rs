//! A coordinator's metrics and probes over HTTP.
//!
//! It must never say who follows or leads by name, nor ask the store more often than once a second, whoever asks.

use std::time::Duration;

use lethe_telemetry::Ask;
use lethe_telemetry::health::Readiness;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{Census, Metrics};
use crate::api::{Seat, Standing};
use crate::store::Store;

/// What the driver and the store get to answer in: a scrape has ten seconds by default.
const DEADLINE: Duration = Duration::from_secs(2);

/// Never ends by itself.
pub(crate) async fn serve(listener: TcpListener, metrics: Metrics, (seat, store): (Seat, Store)) {
    let (of_seat, counted) = (seat.clone(), metrics.clone());
    let scrape = Ask::new(move || scrape(of_seat.clone(), counted.clone()));
    let ready = Ask::new(move || ready(seat.clone(), store.clone(), metrics.clone()));
    match lethe_telemetry::serve(listener, scrape, ready).await {}
}

async fn scrape(seat: Seat, metrics: Metrics) -> String {
    let standing = seat.0.borrow().clone();
    let census = match standing {
        Standing::Leading(lead) => timeout(DEADLINE, lead.driver.census()).await.ok().and_then(Result::ok),
        Standing::Standby { .. } | Standing::Stopping => Some(Census::default()),
    };
    // Of a driver that does not answer, the last is shown.
    census.iter().for_each(|census| metrics.take_census(census));
    metrics.text()
}

async fn ready(seat: Seat, store: Store, metrics: Metrics) -> Readiness {
    let heard = timeout(DEADLINE, store.leader()).await;
    let hears = matches!(heard, Ok(Ok(_)));
    if hears {
        metrics.heard_store();
    }
    let (is_of_use, place) = match &*seat.0.borrow() {
        Standing::Leading(lead) => (true, format!("leading in term {}", lead.term)),
        Standing::Standby { leader: Some(_) } => (true, "following".to_owned()),
        Standing::Standby { leader: None } => (false, "following, and nobody is known to lead".to_owned()),
        Standing::Stopping => (false, "stopping".to_owned()),
    };
    let store = if hears { "the store answers" } else { "the store does not answer" };
    Readiness { is_ready: is_of_use && hears, why: format!("{place}; {store}") }
}
