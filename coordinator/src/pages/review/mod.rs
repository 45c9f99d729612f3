//! The review: an audit's suspects with their pictures, for a person to mark as poison or clean, and the run that follows.
//!
//! It must never need a script: what keys do, buttons do too. It must never offer what the visitor may not do.

mod handlers;
mod order;
mod page;
mod pictures;
mod rerun;
mod row;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub(super) use pictures::Pictures;

use super::Pages;

/// Suspects of one page: so few that a browser has them laid out at once, however many there are in all.
const PAGE: usize = 100;

pub(super) fn routes() -> Router<Arc<Pages>> {
    Router::new()
        .route("/audits/{audit}/review", get(handlers::review))
        .route("/audits/{audit}/review/marks", post(handlers::mark))
        .route("/audits/{audit}/review/pictures/{number}", get(handlers::picture))
        .route("/audits/{audit}/rerun", get(rerun::ask).post(rerun::run))
        .route("/review.js", get(handlers::script))
}
