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
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use lethe_common::blob::BlobStore;
use tonic::Status;

pub use serve::serve;
pub use sessions::{Sessions, Visitor};

use crate::api::limits::{Crowd, Place};
use crate::api::{Caller, Places, Seat};
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
    /// Who has how much under way, here and in calls.
    pub(crate) crowd: Crowd,
    /// What is looked at.
    pub(crate) shelf: Shelf,
    pub(crate) pictures: review::Pictures,
}

impl Pages {
    pub(crate) fn new(
        (seat, blobs): (Seat, BlobStore),
        places: Places,
        url: String,
        (crowd, shelf): (Crowd, Shelf),
    ) -> Self {
        let (sessions, pictures) = (Sessions::default(), review::Pictures::default());
        Self { seat, blobs, sessions, places, url, crowd, shelf, pictures }
    }

    /// Who has the token is trusted, and has all the room.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where a person has too much under way.
    fn room(&self, who: &Caller, weight: u32) -> Result<Option<Place>, Status> {
        match who {
            Caller::Trusted => Ok(None),
            Caller::Known(who) => self.crowd.enter(who, weight),
        }
    }

    fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }
}

/// Pages by path. Each that shows or does something has its call in [`handlers`].
pub fn router(pages: Pages) -> Router {
    let pages = Arc::new(pages);
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
        .layer(from_fn_with_state(Arc::clone(&pages), handlers::in_its_room))
        .with_state(pages)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::http::header::COOKIE;
    use axum::response::Response;
    use lethe_tls::{Identity, Role};
    use tokio::sync::watch;
    use tower::ServiceExt;

    use super::*;
    use crate::api::Standing;

    /// The cookie of a viewer who is logged in.
    fn cookie_of(pages: &Pages, name: &str) -> String {
        let caller = Caller::Known(Identity::new(Role::Viewer, name).expect("is a name"));
        let code = pages.sessions.invite(Visitor { caller, name: name.to_owned() }, None);
        format!("__Host-lethe-session={}", pages.sessions.log_in(&code).expect("logs in"))
    }

    async fn get(router: &Router, path: &str, cookie: &str) -> Response {
        let request = Request::get(path).header(COOKIE, cookie).body(Body::empty()).expect("is one");
        router.clone().oneshot(request).await.expect("is answered")
    }

    #[tokio::test]
    async fn what_one_visitor_does_not_take_in_leaves_the_others_their_room() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let blobs = BlobStore::local(folder.path()).expect("opens");
        let leader = Some("https://other.example:7400".to_owned());
        let (_standing, seat) = watch::channel(Standing::Standby { leader });
        let shared = (Crowd::default(), Shelf::default());
        let pages = Pages::new((Seat(seat), blobs), Places::Any, "https://lethe.example".to_owned(), shared);
        let (eve, ann) = (cookie_of(&pages, "eve"), cookie_of(&pages, "ann"));
        let router = router(pages);
        let mut untaken = Vec::new();
        for _ in 0..8 {
            untaken.push(get(&router, "/audits/march/report", &eve).await);
        }
        assert!(untaken.iter().all(|answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE), "nobody leads here");
        for path in ["/", "/audits/march/review", "/audits/march/review/pictures/1"] {
            assert_eq!(get(&router, path, &eve).await.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
            assert_ne!(get(&router, path, &ann).await.status(), StatusCode::TOO_MANY_REQUESTS, "{path} by another");
        }
        untaken.pop();
        assert_ne!(get(&router, "/audits/march/review", &eve).await.status(), StatusCode::TOO_MANY_REQUESTS);
    }
}
