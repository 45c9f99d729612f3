//! What a person sees in a browser: the queue, the fleet, an audit as it goes, its report, its suspects; and the few things to do
//! about them.
//!
//! It must never do more than the calls of the wire let the same person do: each page and button stands for one of them. Nothing that
//! came with data, a checkpoint or a submitter may run as a script: all text is escaped, and no page allows one but ours.

mod audit;
mod handlers;
mod layout;
mod overview;
mod review;
mod serve;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use lethe_common::blob::BlobStore;

pub use serve::serve;
pub use sessions::{Sessions, Visitor};

use crate::api::{Places, Seat};
use crate::review::Shelf;

/// A form of ours has a field or two; of marks that are saved at once, some hundreds.
const MAX_BODY_BYTES: usize = 16 << 10;

/// What pages are made of.
#[derive(Clone)]
pub struct Pages {
    pub seat: Seat,
    pub blobs: BlobStore,
    pub sessions: Sessions,
    pub places: Places,
    /// Where they are reached, such as https://lethe.example:7480.
    pub url: String,
    /// What is looked at.
    pub(crate) shelf: Shelf,
    pub(crate) pictures: review::Pictures,
}

impl Pages {
    pub fn new(seat: Seat, blobs: BlobStore, places: Places, url: String) -> Self {
        let (sessions, shelf, pictures) = (Sessions::default(), Shelf::default(), review::Pictures::default());
        Self { seat, blobs, sessions, places, url, shelf, pictures }
    }

    fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }
}

/// Pages by path. Each that shows or does something has its call in [`handlers`].
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(handlers::overview))
        .route("/audits/{audit}", get(handlers::audit))
        .route("/audits/{audit}/report", get(handlers::report))
        .route("/audits/{audit}/{action}", post(handlers::act))
        .route("/login", get(handlers::login).post(handlers::log_in))
        .route("/logout", post(handlers::log_out))
        .route("/style.css", get(handlers::style))
        .route("/live.js", get(handlers::script))
        .merge(review::routes())
        .fallback(handlers::nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(pages))
}
