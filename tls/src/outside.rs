//! The end that dials a server that is none of ours and knows no roles, such as an etcd: it is believed by the authority of a folder, and
//! shown the folder's certificate where there is one.
//!
//! It must never speak in the clear, nor accept whom that authority does not vouch for under the name that was dialled.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::uri::{Scheme, Uri};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::client::bare;
use crate::error::TlsError;
use crate::material::{CERTIFICATE, HTTP2, KEY, ROOTS, certificates, provider, roots};

/// A folder with `ca.crt`, and `tls.crt` with `tls.key` where the server asks who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside(PathBuf);

impl Outside {
    /// # Errors
    /// Files that are missing, damaged or do not fit together.
    pub fn load(folder: &Path) -> Result<Self, TlsError> {
        let outside = Self(folder.to_owned());
        outside.config().map(|_| outside)
    }

    /// A channel that connects when it is used, and again whenever it was lost, each time by the files as they are then. The address
    /// is one of `https`.
    pub fn connect_lazy(&self, address: Uri, set: impl FnOnce(Endpoint) -> Endpoint) -> Channel {
        // tonic refuses `https` that is not its own, where any crate of a build turns its TLS on.
        let mut parts = address.clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        let plain = Uri::from_parts(parts).expect("only the scheme of a whole URI was changed");
        let outside = self.clone();
        let dial = move |uri| dial(uri, outside.clone());
        set(Endpoint::from(plain).origin(address)).connect_with_connector_lazy(service_fn(dial))
    }

    fn config(&self) -> Result<ClientConfig, TlsError> {
        let read = |name: &str| {
            let path = self.0.join(name);
            std::fs::read(&path).map_err(|source| TlsError::Read { path, source })
        };
        let believed = Arc::new(roots(&read(ROOTS)?, self.0.join(ROOTS))?);
        let unfit = |source| TlsError::Unfit { folder: self.0.clone(), source };
        let versions =
            ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13]);
        let builder = versions.map_err(unfit)?.with_root_certificates(believed);
        let mut config = if [CERTIFICATE, KEY].iter().any(|name| self.0.join(name).exists()) {
            let chain = certificates(&read(CERTIFICATE)?, self.0.join(CERTIFICATE))?;
            let path = self.0.join(KEY);
            // The parser's own message could quote what it stumbled over.
            let key = PrivateKeyDer::from_pem_slice(&read(KEY)?).map_err(|_| TlsError::Pem {
                path,
                what: "private key",
                why: String::new(),
            })?;
            builder.with_client_auth_cert(chain, key).map_err(unfit)?
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(config)
    }
}

async fn dial(uri: Uri, outside: Outside) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let no_host = || io::Error::new(io::ErrorKind::InvalidInput, "the address's host is no DNS name and no IP address");
    let (host, port) = uri.host().map(bare).zip(uri.port_u16()).ok_or_else(no_host)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| no_host())?;
    let config = outside.config().map_err(io::Error::other)?;
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    Ok(TokioIo::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authority, Existing, Request};
    use crate::{Identity, Role};

    #[test]
    fn a_folder_has_an_authority_and_perhaps_a_whole_certificate() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path();
        assert!(matches!(Outside::load(path), Err(TlsError::Read { .. })), "no authority");
        let authority = Authority::create(&path.join("pki"), 1).expect("is made");
        let identity = Identity::new(Role::Coordinator, "lethe").expect("is a name");
        let request = Request { identity, hosts: vec!["localhost".to_owned()], days: 1 };
        authority.issue(&request, &path.join("whole"), Existing::Keep).expect("issues");
        assert!(Outside::load(&path.join("whole")).is_ok());
        let without = path.join("without");
        std::fs::create_dir(&without).expect("makes a folder");
        std::fs::copy(path.join("whole").join(ROOTS), without.join(ROOTS)).expect("copies");
        assert!(Outside::load(&without).is_ok(), "the server need not ask who we are");
        std::fs::copy(path.join("whole").join(CERTIFICATE), without.join(CERTIFICATE)).expect("copies");
        assert!(matches!(Outside::load(&without), Err(TlsError::Read { .. })), "a certificate without its key");
    }
}
