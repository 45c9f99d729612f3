//! What stands before every call: the token on loopback, or the certificate and the table of rights.
//!
//! It must never let a call through that the table does not name, and never say more to a stranger than what to bring.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures::future::Either;
use lethe_tls::{Callers, Credentials, Peer};
use tonic::Status;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body, Service};
use tower::Layer;

use super::caller::Caller;
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

impl<S> Layer<S> for Gate {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { gate: self.clone(), inner }
    }
}

/// A service behind the gate.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    gate: Gate,
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for Guarded<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    Out: Body + Default,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Out>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        match self.gate.admit(&request) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}
