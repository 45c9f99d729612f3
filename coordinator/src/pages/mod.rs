//! What a person sees in a browser: the queue, the fleet, an audit as it goes, its report; and the few things to do about it.
//!
//! It must never do more than the calls of the wire let the same person do: each page and button stands for one of them. Nothing that
//! came with data, a checkpoint or a submitter may run as a script: all text is escaped, and no page allows one but ours.

mod audit;
mod handlers;
mod layout;
mod overview;
mod serve;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use lethe_common::blob::BlobStore;

pub use serve::serve;
pub use sessions::{Sessions, Visitor};

use crate::api::Seat;

/// A form of ours has a field or two.
const MAX_BODY_BYTES: usize = 16 << 10;

/// What pages are made of.
#[derive(Clone)]
pub struct Pages {
    pub seat: Seat,
    pub blobs: BlobStore,
    pub sessions: Sessions,
    /// Where they are reached, such as https://lethe.example:7480.
    pub url: String,
}

impl Pages {
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
        .fallback(handlers::nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(pages))
}
