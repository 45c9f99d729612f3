//! The end that listens: connections with whoever is there, in the clear or by certificate.
//!
//! It must never let one connection wait for another's handshake, and never admit one whose certificate names nobody.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use crate::credentials::Credentials;
use crate::identity::{Identity, Role};
use crate::material::ends_at_s;

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Handshakes under way. One more ends the oldest of them: honest ones take milliseconds, so that a neighbour who opens
/// connections and says nothing pushes out his own.
const MAX_HANDSHAKES: usize = 512;
/// Connections that wait to be served.
const MAX_QUEUED: usize = 64;
/// Connections that one certificate may have at once: a person's few commands, and the workers that share one.
const MAX_PER_PERSON: usize = 32;
const MAX_PER_WORKERS: usize = 4_096;
/// Where the system has no more sockets for us, none comes free any sooner by asking.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end; every call's extensions have it.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    /// Absent in the clear.
    pub identity: Option<Identity>,
    /// When its certificate ends, in seconds since the Unix epoch.
    pub ends_at_s: Option<i64>,
}

/// An open connection.
pub struct Stream {
    io: Io,
    peer: Peer,
    /// Given back with the connection.
    _place: Option<Place>,
}

/// How many connections each certificate has.
#[derive(Clone, Default)]
struct Crowd(Arc<Mutex<BTreeMap<Identity, usize>>>);

impl Crowd {
    /// None where the certificate has as many as it may.
    fn enter(&self, who: &Identity) -> Option<Place> {
        let most = match who.role() {
            Role::Worker => MAX_PER_WORKERS,
            Role::Admin | Role::Submitter | Role::Viewer | Role::Coordinator => MAX_PER_PERSON,
        };
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.entry(who.clone()).or_default();
        (*own < most).then(|| {
            *own += 1;
            Place { crowd: self.clone(), who: who.clone() }
        })
    }
}

/// One connection of a certificate's.
struct Place {
    crowd: Crowd,
    who: Identity,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.who);
            }
        }
    }
}

enum Io {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// Who may connect.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Anyone, in the clear.
    Plain,
    /// Those with a certificate of the same authority, by TLS 1.3 alone, who speak HTTP/2.
    Certified(Credentials),
    /// Anyone by TLS 1.3, who speaks HTTP/1.1: browsers.
    Browsers(Credentials),
}

/// Takes connections until the stream is dropped.
pub fn accept(listener: TcpListener, callers: Callers) -> ReceiverStream<io::Result<Stream>> {
    let (streams, queue) = mpsc::channel(MAX_QUEUED);
    tokio::spawn(take(listener, callers, streams));
    ReceiverStream::new(queue)
}

async fn take(listener: TcpListener, callers: Callers, streams: mpsc::Sender<io::Result<Stream>>) {
    let mut pending: VecDeque<AbortHandle> = VecDeque::new();
    let crowd = Crowd::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = streams.closed() => return,
        };
        let (tcp, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot take a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        pending.retain(|handshake| !handshake.is_finished());
        if pending.len() >= MAX_HANDSHAKES
            && let Some(oldest) = pending.pop_front()
        {
            oldest.abort();
        }
        let opening = open((tcp, address), callers.clone(), crowd.clone(), streams.clone());
        pending.push_back(tokio::spawn(opening).abort_handle());
    }
}

async fn open(
    (tcp, address): (TcpStream, SocketAddr),
    callers: Callers,
    crowd: Crowd,
    streams: mpsc::Sender<io::Result<Stream>>,
) {
    // Nagle's algorithm would add 40 ms to every step of a rendezvous.
    drop(tcp.set_nodelay(true)); // a connection that is gone already says so when it is read
    let opened = match timeout(HANDSHAKE_DEADLINE, shake_hands(tcp, &callers)).await {
        Ok(opened) => opened,
        Err(_elapsed) => Err(format!("it said nothing for {} s", HANDSHAKE_DEADLINE.as_secs())),
    };
    match opened {
        Ok((io, certified)) => {
            let (identity, ends_at_s) = certified.unzip();
            let place = identity.as_ref().map(|who| crowd.enter(who));
            if let Some(None) = place {
                debug!(%address, ?identity, "connection refused: its certificate has as many as it may");
                return;
            }
            let peer = Peer { address: Some(address), identity, ends_at_s };
            let stream = Stream { io, peer, _place: place.flatten() };
            drop(streams.send(Ok(stream)).await); // nobody listens any more
        }
        Err(reason) => debug!(%address, reason, "connection refused"),
    }
}

/// With whom, and until when a certificate says so.
async fn shake_hands(tcp: TcpStream, callers: &Callers) -> Result<(Io, Option<(Identity, i64)>), String> {
    match callers {
        Callers::Plain => Ok((Io::Plain(tcp), None)),
        Callers::Certified(credentials) => {
            let acceptor = TlsAcceptor::from(credentials.current().server());
            let stream = acceptor.accept(tcp).await.map_err(|e| e.to_string())?;
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate = certificate.ok_or("it has no certificate")?;
            let identity = Identity::of(certificate).map_err(|e| e.to_string())?;
            let ends_at_s = ends_at_s(certificate).map_err(|e| e.to_string())?;
            Ok((Io::Secure(Box::new(stream)), Some((identity, ends_at_s))))
        }
        Callers::Browsers(credentials) => {
            let acceptor = TlsAcceptor::from(credentials.current().browsers());
            let stream = acceptor.accept(tcp).await.map_err(|e| e.to_string())?;
            Ok((Io::Secure(Box::new(stream)), None))
        }
    }
}

impl Connected for Stream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Io::Secure(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Io::Secure(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(cx, slices),
            Io::Secure(io) => Pin::new(io).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Secure(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Secure(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Secure(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(role: Role, name: &str) -> Identity {
        Identity::new(role, name).expect("is a name")
    }

    #[test]
    fn a_certificate_has_so_many_connections_and_gets_them_back() {
        let (crowd, eve) = (Crowd::default(), who(Role::Viewer, "eve"));
        let mut open: Vec<Place> = (0..MAX_PER_PERSON).map(|_| crowd.enter(&eve).expect("has room")).collect();
        assert!(crowd.enter(&eve).is_none());
        assert!(crowd.enter(&who(Role::Viewer, "ann")).is_some(), "another has its own");
        open.pop();
        assert!(crowd.enter(&eve).is_some());
        drop(open);
        let gpu = who(Role::Worker, "gpu");
        let open: Vec<Option<Place>> = (0..=MAX_PER_WORKERS).map(|_| crowd.enter(&gpu)).collect();
        assert_eq!(open.iter().flatten().count(), MAX_PER_WORKERS);
        drop(open);
        assert!(crowd.0.lock().expect("is whole").is_empty(), "nothing is kept of who has left");
    }
}
