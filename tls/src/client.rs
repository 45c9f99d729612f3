//! The end that dials: `https://` with a certificate of its own and the other's checked, and `http://` on loopback alone.
//!
//! It must never fall back from one to the other.

use std::io;
use std::net::IpAddr;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::uri::Scheme;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::credentials::Credentials;
use crate::identity::{Identity, Role};

/// Where a coordinator is reached, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// Of the scheme `http` in any case: tonic refuses `https` that is not its own, where any crate of a build turns its TLS
    /// on. The calls name the true origin.
    endpoint: Endpoint,
    secure: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("the coordinator address {0:?} is none; expected such as https://lethe.example:7400")]
    Form(String),
    #[error("{0} would show the token and all else to the network; use https:// with --tls, or a loopback address")]
    Plain(String),
    #[error("{0} needs a certificate of ours; say --tls FOLDER or set LETHE_TLS, to a folder that `lethe pki` made")]
    NoCertificate(String),
}

impl Target {
    /// Takes `https://host:port`, and `http://host:port` on loopback.
    ///
    /// # Errors
    /// Another form; a plain address off loopback; `https` without credentials.
    pub fn new(address: &str, credentials: Option<&Credentials>) -> Result<Self, TargetError> {
        let form = || TargetError::Form(address.to_owned());
        let uri: Uri = address.parse().map_err(|_| form())?;
        let bare = uri.path() == "/" && uri.query().is_none() && uri.port_u16().is_some();
        let whole = uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'));
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(form()),
        };
        if !bare || !whole {
            return Err(form());
        }
        if !secure && !is_loopback(uri.host().unwrap_or_default()) {
            return Err(TargetError::Plain(address.to_owned()));
        }
        if secure && credentials.is_none() {
            return Err(TargetError::NoCertificate(address.to_owned()));
        }
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        let plain = Uri::from_parts(parts).expect("only the scheme of a whole URI was changed");
        Ok(Self { endpoint: Endpoint::from(plain).origin(uri).tcp_nodelay(true), secure })
    }

    /// With deadlines and whatever else an endpoint has.
    #[must_use]
    pub fn with(self, set: impl FnOnce(Endpoint) -> Endpoint) -> Self {
        Self { endpoint: set(self.endpoint), secure: self.secure }
    }

    /// A channel that is connected already.
    ///
    /// # Errors
    /// Where nobody answers, or one side does not believe the other.
    pub async fn connect(&self, credentials: Option<&Credentials>) -> Result<Channel, tonic::transport::Error> {
        match self.credentials(credentials) {
            None => self.endpoint.connect().await,
            Some(credentials) => {
                self.endpoint.connect_with_connector(service_fn(move |uri| dial(uri, credentials.clone()))).await
            }
        }
    }

    /// A channel that connects when it is used, and again whenever it was lost.
    pub fn connect_lazy(&self, credentials: Option<&Credentials>) -> Channel {
        match self.credentials(credentials) {
            None => self.endpoint.connect_lazy(),
            Some(credentials) => {
                self.endpoint.connect_with_connector_lazy(service_fn(move |uri| dial(uri, credentials.clone())))
            }
        }
    }

    fn credentials(&self, given: Option<&Credentials>) -> Option<Credentials> {
        self.secure.then(|| given.expect("an address of https was taken with credentials only").clone())
    }
}

/// Of an address's host, with or without an IPv6 address's brackets.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || bare(host).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An IPv6 address without its brackets.
pub(crate) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The bare connection to a coordinator's address, for whoever speaks over it otherwise than by our calls: a benchmark that
/// speaks badly on purpose.
///
/// # Errors
/// Nobody answers there, or it is no coordinator of the same authority.
pub async fn connect(uri: Uri, credentials: Credentials) -> io::Result<TlsStream<TcpStream>> {
    Ok(dial(uri, credentials).await?.into_inner())
}

async fn dial(uri: Uri, credentials: Credentials) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let no_host = || io::Error::new(io::ErrorKind::InvalidInput, "the address's host is no DNS name and no IP address");
    let (host, port) = uri.host().map(bare).zip(uri.port_u16()).ok_or_else(no_host)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| no_host())?;
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    let stream = TlsConnector::from(credentials.current().client()).connect(name, tcp).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let role = certificate.map(Identity::of).transpose().map_err(io::Error::other)?.map(|identity| identity.role());
    match role {
        Some(Role::Coordinator) => Ok(TokioIo::new(stream)),
        Some(_) | None => Err(io::Error::other("whoever answers there has no certificate of role coordinator")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        Target::new(address, None).expect_err(address).to_string()
    }

    #[test]
    fn plain_addresses_are_loopback_ones() {
        for good in ["http://127.0.0.1:7400", "http://[::1]:7400", "http://localhost:7400", "http://127.9.9.9:1"] {
            assert!(Target::new(good, None).is_ok(), "{good}");
        }
        for bad in ["http://10.0.0.1:7400", "http://localhost.evil:7400", "http://0.0.0.0:1", "http://[::]:1"] {
            assert!(refused(bad).contains("--tls"), "{bad}");
        }
        assert!(refused("https://10.0.0.1:7400").contains("lethe pki"));
    }

    #[test]
    fn only_a_scheme_a_host_and_a_port_are_an_address() {
        for bad in [
            "",
            "http://",
            "127.0.0.1:1",
            "ftp://a:1",
            "http://127.0.0.1",
            "http://127.0.0.1:1/x",
            "http://me@127.0.0.1:1",
        ] {
            assert_eq!(Target::new(bad, None).expect_err(bad), TargetError::Form(bad.to_owned()));
        }
    }
}
