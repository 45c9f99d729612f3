//! A folder with one party's certificate, its key, and the authority that it trusts: `tls.crt`, `tls.key` and `ca.crt`, as a
//! Kubernetes secret of cert-manager has them when it is mounted.
//!
//! It must never show the key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::TlsError;
use crate::identity::{Identity, IdentityError};

/// The certificate chain, the party's own first.
pub const CERTIFICATE: &str = "tls.crt";
pub const KEY: &str = "tls.key";
/// The authorities whose certificates are believed: of more than one while an authority is replaced.
pub const ROOTS: &str = "ca.crt";

/// gRPC's protocol, by ALPN.
pub(crate) const HTTP2: &[u8] = b"h2";

/// The bytes of the three files.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Files {
    folder: PathBuf,
    certificate: Vec<u8>,
    key: Vec<u8>,
    roots: Vec<u8>,
}

impl Files {
    /// # Errors
    /// [`TlsError::Read`].
    pub(crate) fn read(folder: &Path) -> Result<Self, TlsError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| TlsError::Read { path, source })
        };
        let (certificate, key, roots) = (read(CERTIFICATE)?, read(KEY)?, read(ROOTS)?);
        Ok(Self { folder: folder.to_owned(), certificate, key, roots })
    }
}

/// What the files say, as both ends of a connection need it.
#[derive(Clone)]
pub struct Material {
    identity: Identity,
    /// Seconds since 1970, after which nobody believes the certificate.
    ends_at_s: i64,
    chain: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    browsers: Arc<ServerConfig>,
}

impl Material {
    /// # Errors
    /// Files that are missing, damaged or do not fit together.
    pub fn read(folder: &Path) -> Result<Self, TlsError> {
        Self::parse(&Files::read(folder)?)
    }

    pub(crate) fn parse(files: &Files) -> Result<Self, TlsError> {
        let (path, roots_path) = (files.folder.join(CERTIFICATE), files.folder.join(ROOTS));
        let chain = certificates(&files.certificate, path.clone())?;
        let key = PrivateKeyDer::from_pem_slice(&files.key);
        let key_path = files.folder.join(KEY);
        // The parser's own message could quote what it stumbled over.
        let key = key.map_err(|_| TlsError::Pem { path: key_path, what: "private key", why: String::new() })?;
        let identity = Identity::of(&chain[0]).map_err(|source| TlsError::Identity { path: path.clone(), source })?;
        let ends_at_s = ends_at_s(&chain[0]).map_err(|source| TlsError::Identity { path, source })?;
        let unfit = |source| TlsError::Unfit { folder: files.folder.clone(), source };
        let roots = Arc::new(roots(&files.roots, roots_path)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider()).build();
        let verifier = verifier.map_err(|error| unfit(rustls::Error::General(error.to_string())))?;
        let client = Arc::new(client(roots, chain.clone(), key.clone_key()).map_err(unfit)?);
        let server = Arc::new(server(Arc::clone(&verifier), chain.clone(), key.clone_key()).map_err(unfit)?);
        let browsers = Arc::new(browsers(chain.clone(), key).map_err(unfit)?);
        Ok(Self { identity, ends_at_s, chain, verifier, client, server, browsers })
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Seconds since 1970, after which nobody believes the certificate.
    pub fn ends_at_s(&self) -> i64 {
        self.ends_at_s
    }

    /// Whether the authority of its folder believes the certificate now, as the other end of a connection would ask.
    ///
    /// # Errors
    /// Why not: of another authority, or at its end.
    pub fn check(&self) -> Result<(), rustls::Error> {
        self.verifier.verify_client_cert(&self.chain[0], &self.chain[1..], UnixTime::now()).map(drop)
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// For whoever has no certificate.
    pub(crate) fn browsers(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.browsers)
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("identity", &self.identity).field("ends_at_s", &self.ends_at_s).finish()
    }
}

pub(crate) fn certificates(pem: &[u8], path: PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::Pem { path, what, why: String::new() }),
        Err(error) => Err(TlsError::Pem { path, what, why: error.to_string() }),
    }
}

pub(crate) fn roots(pem: &[u8], path: PathBuf) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for root in certificates(pem, path.clone())? {
        let unfit =
            |error: rustls::Error| TlsError::Pem { path: path.clone(), what: "authority", why: error.to_string() };
        store.add(root).map_err(unfit)?;
    }
    Ok(store)
}

pub(crate) fn ends_at_s(certificate: &CertificateDer<'_>) -> Result<i64, IdentityError> {
    let parsed = X509Certificate::from_der(certificate).map_err(|e| IdentityError::Broken(e.to_string()))?.1;
    Ok(parsed.validity().not_after.timestamp())
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn client(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let versions =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = versions.with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The beginning of what listens: TLS 1.3 alone.
fn listening() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])
}

/// Nothing is resumed: a session of yesterday would carry a certificate that is not believed today.
fn server(
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = listening()?.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn browsers(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let mut config = listening()?.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
