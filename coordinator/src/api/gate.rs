//! What stands before every call: the token on loopback, or the certificate, the table of rights and the room that is left.
//!
//! It must never let a call through that the table does not name, and never say more to a stranger than what to bring.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::Either;
use lethe_tls::{Callers, Credentials, Peer};
use tonic::Status;
use tonic::body::Body as Sent;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body, Service};
use tower::Layer;

use super::caller::Caller;
use super::limits::{Bounded, Crowd, Held, Place, request_bytes, weight};
use super::rights;
use super::token::Token;

/// By what callers are known.
#[derive(Debug, Clone)]
pub enum Gate {
    /// In the clear, on loopback: whoever has the token may do everything.
    Token(Token),
    /// By mutual TLS: a role and a name.
    Certificates(Credentials),
}

impl Gate {
    /// What connections are opened with; none in the clear.
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Token(_) => None,
            Self::Certificates(credentials) => Some(credentials),
        }
    }

    /// Who may connect for calls.
    pub fn callers(&self) -> Callers {
        match self {
            Self::Token(_) => Callers::Plain,
            Self::Certificates(credentials) => Callers::Certified(credentials.clone()),
        }
    }

    /// Who may connect for pages, which have sessions of their own.
    pub fn browsers(&self) -> Callers {
        match self {
            Self::Token(_) => Callers::Plain,
            Self::Certificates(credentials) => Callers::Browsers(credentials.clone()),
        }
    }

    fn admit<B>(&self, request: &Request<B>) -> Result<Caller, Status> {
        match self {
            Self::Token(token) => token.check(request.headers()).map(|()| Caller::Trusted),
            Self::Certificates(_) => {
                let peer = request.extensions().get::<Peer>().and_then(|peer| peer.identity.clone());
                let peer = peer.ok_or_else(|| Status::unauthenticated("the call came without a certificate"))?;
                rights::allowed(&peer, request.uri().path())?;
                Ok(Caller::Known(peer))
            }
        }
    }
}

/// The gate, and the room behind it.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub gate: Gate,
    /// Of all connections together, and of the pages.
    pub crowd: Crowd,
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind the gate.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S> Guarded<S> {
    fn admit<B>(&self, request: &Request<B>) -> Result<(Caller, Option<Place>), Status> {
        let caller = self.guard.gate.admit(request)?;
        let place = match &caller {
            Caller::Trusted => None,
            Caller::Known(who) => self.guard.crowd.enter(who, weight(request.uri().path()))?,
        };
        Ok((caller, place))
    }
}

type Answered<F, Out, E> = Either<Holding<F>, Ready<Result<Response<Held<Out>>, E>>>;

impl<S, Out> Service<Request<Sent>> for Guarded<S>
where
    S: Service<Request<Sent>, Response = Response<Out>>,
    S::Future: Unpin,
    Out: Body + Default + Unpin,
{
    type Response = Response<Held<Out>>;
    type Error = S::Error;
    type Future = Answered<S::Future, Out, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Sent>) -> Self::Future {
        match self.admit(&request) {
            Ok((caller, place)) => {
                request.extensions_mut().insert(caller);
                let request = match request_bytes(request.uri().path()) {
                    Some(bytes) => request.map(|body| Sent::new(Bounded::new(body, bytes))),
                    None => request,
                };
                Either::Left(Holding { answer: self.inner.call(request), place })
            }
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

/// A call's room until its answer has a body to keep it.
pub struct Holding<F> {
    answer: F,
    place: Option<Place>,
}

impl<F, Out, E> Future for Holding<F>
where
    F: Future<Output = Result<Response<Out>, E>> + Unpin,
{
    type Output = Result<Response<Held<Out>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let place = &mut this.place;
        Pin::new(&mut this.answer)
            .poll(cx)
            .map(|answer| answer.map(|response| response.map(|body| Held::new(body, place.take()))))
    }
}
