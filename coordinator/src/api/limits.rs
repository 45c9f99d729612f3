//! How much one caller may have under way, and how large a request may be.
//!
//! It must never let what one caller does not take in fill the memory that all share.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use lethe_tls::{Identity, Role};
use tonic::Status;
use tonic::codegen::Body;

/// HTTP/2 streams of one connection at once: a worker has a session, some commits, and a rendezvous for each of its ranks.
pub(crate) const MAX_STREAMS_PER_CONNECTION: u32 = 256;
/// Of a request's headers, unpacked. A token and a trace are a few hundred.
pub(crate) const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Streams that a caller took back before they were served, at once; beyond, his connection is closed.
pub(crate) const MAX_PENDING_RESETS: usize = 64;

/// A spec and who submits it; a spec beyond its own limit, which is less, is told that.
const MAX_SPEC_REQUEST_BYTES: usize = 256 << 10;
/// Of a person's other requests: they name an audit, a file and who asks.
const MAX_SMALL_REQUEST_BYTES: usize = 16 << 10;
/// As many marks as a person makes of an audit's suspects: 64,000 and more.
const MAX_MARKS_REQUEST_BYTES: usize = 8 << 20;
/// One message of a worker's: a few hundred commits with all their outputs.
pub(crate) const MAX_WORKER_MESSAGE_BYTES: usize = 8 << 20;
/// One message of a person's; requests that carry no spec are cut before.
pub(crate) const MAX_PERSON_MESSAGE_BYTES: usize = MAX_MARKS_REQUEST_BYTES;

/// What a person may have under way, by what it costs to hold: a call that waits is 1.
const ROOM_PER_PERSON: u32 = 64;
const SPEC_WEIGHT: u32 = 4;
/// A piece of a file is 8 MiB, and is held until it is taken.
pub(crate) const FILE_WEIGHT: u32 = 8;
/// All marks of an audit, and to make some all of its suspects.
const MARKS_WEIGHT: u32 = 32;

const MARK_SUSPECTS: &str = "/lethe.v1.Audits/MarkSuspects";

pub(super) fn weight(path: &str) -> u32 {
    match path {
        "/lethe.v1.Audits/Submit" | "/lethe.v1.Audits/RerunAudit" => SPEC_WEIGHT,
        "/lethe.v1.Audits/FetchResult" => FILE_WEIGHT,
        MARK_SUSPECTS | "/lethe.v1.Audits/ListMarks" => MARKS_WEIGHT,
        _ => 1,
    }
}

/// Bytes that a request may have in all; none for those of workers, whose sessions go on as long as they do.
pub(super) fn request_bytes(path: &str) -> Option<usize> {
    if path.starts_with("/lethe.v1.Workers/") {
        return None;
    }
    Some(match path {
        MARK_SUSPECTS => MAX_MARKS_REQUEST_BYTES,
        _ if weight(path) == SPEC_WEIGHT => MAX_SPEC_REQUEST_BYTES,
        _ => MAX_SMALL_REQUEST_BYTES,
    })
}

/// Who has how much under way, in calls and on pages together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crowd(Arc<Mutex<BTreeMap<Identity, u32>>>);

impl Crowd {
    /// Room for what weighs so much; what it takes is given back when the place is dropped. Workers share certificates, and have all
    /// the room they want.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where a person has too much under way.
    pub fn enter(&self, who: &Identity, weight: u32) -> Result<Option<Place>, Status> {
        if who.role() == Role::Worker {
            return Ok(None);
        }
        let mut taken = self.taken();
        let own = taken.entry(who.clone()).or_default();
        if *own + weight > ROOM_PER_PERSON {
            return Err(Status::resource_exhausted(format!(
                "{} has too much under way at once, in calls and pages; wait for some of it to end",
                who.name()
            )));
        }
        *own += weight;
        Ok(Some(Place { crowd: self.clone(), who: who.clone(), weight }))
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeMap<Identity, u32>> {
        // A count that is added to and taken from is whole whatever panics elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's room.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Crowd,
    who: Identity,
    weight: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.crowd.taken();
        if let Some(own) = taken.get_mut(&self.who) {
            *own -= self.weight;
            if *own == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

/// A response that keeps its call's room until it is taken in, or nobody wants it any more.
#[derive(Debug, Default)]
pub struct Held<B> {
    body: B,
    _place: Option<Place>,
}

impl<B> Held<B> {
    pub(crate) fn new(body: B, place: Option<Place>) -> Self {
        Self { body, _place: place }
    }
}

impl<B: Body + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that ends in an error beyond so many bytes.
pub(super) struct Bounded {
    body: tonic::body::Body,
    left: usize,
}

impl Bounded {
    pub fn new(body: tonic::body::Body, bytes: usize) -> Self {
        Self { body, left: bytes }
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match this.left.checked_sub(bytes) {
                Some(left) => this.left = left,
                None => {
                    return Poll::Ready(Some(Err(Status::resource_exhausted(
                        "the request is larger than any of its kind",
                    ))));
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "/lethe.v1.Audits/ListAudits";

    fn who(role: Role, name: &str) -> Identity {
        Identity::new(role, name).expect("is a name")
    }

    #[test]
    fn a_person_has_so_much_room_and_gets_it_back() {
        let (crowd, eve) = (Crowd::default(), who(Role::Viewer, "eve"));
        let mut places: Vec<_> =
            (0..ROOM_PER_PERSON).map(|_| crowd.enter(&eve, weight(LIST)).expect("has room")).collect();
        assert_eq!(crowd.enter(&eve, 1).expect_err("has none").code(), tonic::Code::ResourceExhausted);
        assert!(crowd.enter(&who(Role::Admin, "eve"), 1).is_ok(), "another certificate is another caller");
        places.pop();
        assert!(crowd.enter(&eve, 1).is_ok());
        drop(places);
        assert!(crowd.taken().is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn what_costs_more_takes_more_room_and_workers_take_none() {
        let (crowd, ann) = (Crowd::default(), who(Role::Submitter, "ann"));
        let room = |path: &str| {
            let mut places = Vec::new();
            while let Ok(place) = crowd.enter(&ann, weight(path)) {
                places.push(place);
            }
            places.len()
        };
        let found = ["/lethe.v1.Audits/Submit", "/lethe.v1.Audits/FetchResult", MARK_SUSPECTS, LIST].map(room);
        assert_eq!(found, [16, 8, 2, 64]);
        let gpu = who(Role::Worker, "gpu");
        assert!((0..10_000).all(|_| crowd.enter(&gpu, 1).is_ok_and(|place| place.is_none())));
    }

    #[test]
    fn only_specs_and_marks_are_large() {
        for path in lethe_proto::METHODS.iter().copied() {
            let expected = match path {
                "/lethe.v1.Audits/Submit" | "/lethe.v1.Audits/RerunAudit" => Some(MAX_SPEC_REQUEST_BYTES),
                "/lethe.v1.Audits/MarkSuspects" => Some(MAX_MARKS_REQUEST_BYTES),
                path if path.starts_with("/lethe.v1.Workers/") => None,
                _ => Some(MAX_SMALL_REQUEST_BYTES),
            };
            assert_eq!(request_bytes(path), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn a_request_beyond_its_size_is_an_error_of_its_own() {
        let body = || tonic::body::Body::new(Whole(Some(Bytes::from_static(b"sixteen bytes ..."))));
        let mut fits = Bounded::new(body(), 17);
        assert!(std::future::poll_fn(|cx| Pin::new(&mut fits).poll_frame(cx)).await.expect("is a frame").is_ok());
        let mut large = Bounded::new(body(), 16);
        let frame = std::future::poll_fn(|cx| Pin::new(&mut large).poll_frame(cx)).await.expect("is a frame");
        assert_eq!(frame.expect_err("is too large").code(), tonic::Code::ResourceExhausted);
    }

    struct Whole(Option<Bytes>);

    impl Body for Whole {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.get_mut().0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }
}
