//! A small authority: its own certificate and key in a folder, and certificates of parties that it issues.
//!
//! It must never overwrite a key, and never write one that others of the machine can read.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::ServerName;
use time::{Duration, OffsetDateTime};

use crate::error::TlsError;
use crate::identity::{Identity, Role};
use crate::material::{CERTIFICATE, KEY, ROOTS};

/// Never leaves the authority's folder.
const AUTHORITY_KEY: &str = "ca.key";

/// Clocks of a cluster differ.
const BACKDATED: Duration = Duration::minutes(5);

/// What a party's certificate says.
#[derive(Debug, Clone)]
pub struct Request {
    pub identity: Identity,
    /// DNS names and IP addresses by which it is dialled; a coordinator's alone.
    pub hosts: Vec<String>,
    pub days: u32,
}

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

impl Authority {
    /// Makes the two files of an authority.
    ///
    /// # Errors
    /// A folder that has one already, or that cannot be written.
    pub fn create(folder: &Path, days: u32) -> Result<Self, TlsError> {
        let mut params = CertificateParams::default();
        let key = KeyPair::generate()?;
        // Authorities of one name would take each other's certificates for their own, badly signed.
        let mark = blake3::hash(key.public_key_raw()).to_hex();
        params.distinguished_name.push(DnType::CommonName, format!("Lethe authority {}", &mark[..8]));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity(days);
        let made = CertifiedIssuer::self_signed(params, key)?;
        let (certificate_pem, key_pem) = (made.pem(), made.key().serialize_pem());
        make_folder(folder)?;
        write(&folder.join(AUTHORITY_KEY), &key_pem, Secrecy::Secret)?;
        write(&folder.join(ROOTS), &certificate_pem, Secrecy::Public)?;
        Self::load(folder)
    }

    /// # Errors
    /// Files that are missing or damaged.
    pub fn load(folder: &Path) -> Result<Self, TlsError> {
        let (certificate_pem, key_pem) = (read(&folder.join(ROOTS))?, read(&folder.join(AUTHORITY_KEY))?);
        let issuer = KeyPair::from_pem(&key_pem).and_then(|key| Issuer::from_ca_cert_pem(&certificate_pem, key));
        Ok(Self { issuer: issuer?, certificate_pem })
    }

    /// Its own certificate, beside those that a party believes already: whoever changes the authority takes the old one out at
    /// the end.
    fn roots(&self, path: &Path) -> Result<String, TlsError> {
        if !path.exists() {
            return Ok(self.certificate_pem.clone());
        }
        let known = read(path)?;
        Ok(if known.contains(self.certificate_pem.trim()) { known } else { format!("{}{known}", self.certificate_pem) })
    }

    /// Whether a folder has an authority.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(AUTHORITY_KEY).exists()
    }

    /// Writes a party's three files.
    ///
    /// # Errors
    /// A host that is none; a folder that has a certificate already, unless it is to be replaced.
    pub fn issue(&self, request: &Request, folder: &Path, existing: Existing) -> Result<(), TlsError> {
        let key = KeyPair::generate()?;
        let certificate = params(request)?.signed_by(&key, &self.issuer)?;
        make_folder(folder)?;
        let paths = [KEY, CERTIFICATE, ROOTS].map(|name| folder.join(name));
        if existing == Existing::Keep
            && let Some(taken) = paths.iter().find(|path| path.exists())
        {
            return Err(TlsError::Exists(taken.clone()));
        }
        // Who reads between two of the renames finds a key that does not fit, and goes on with what it had.
        replace(&paths[0], &key.serialize_pem(), Secrecy::Secret)?;
        replace(&paths[1], &certificate.pem(), Secrecy::Public)?;
        replace(&paths[2], &self.roots(&paths[2])?, Secrecy::Public)
    }
}

/// What becomes of files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Keep,
    Replace,
}

fn params(request: &Request) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    let identity = &request.identity;
    params.distinguished_name.push(DnType::CommonName, format!("{} ({})", identity.name(), identity.role()));
    let uri = identity.to_string().try_into()?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    for host in &request.hosts {
        params.subject_alt_names.push(alternative_name(host)?);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match identity.role() {
        // It calls nobody, but is checked by the same question.
        Role::Coordinator => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Role::Admin | Role::Submitter | Role::Viewer | Role::Worker => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(request.days);
    Ok(params)
}

fn alternative_name(host: &str) -> Result<SanType, TlsError> {
    let bad = |_| TlsError::Host(host.to_owned());
    match ServerName::try_from(host).map_err(|_| TlsError::Host(host.to_owned()))? {
        ServerName::DnsName(name) => Ok(SanType::DnsName(name.as_ref().try_into().map_err(bad)?)),
        ServerName::IpAddress(address) => Ok(SanType::IpAddress(address.into())),
        _ => Err(TlsError::Host(host.to_owned())),
    }
}

fn validity(days: u32) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - BACKDATED, now + Duration::days(i64::from(days)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Public,
    Secret,
}

fn make_folder(folder: &Path) -> Result<(), TlsError> {
    std::fs::create_dir_all(folder).map_err(|source| TlsError::Write { path: folder.to_owned(), source })
}

fn read(path: &Path) -> Result<String, TlsError> {
    std::fs::read_to_string(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// A new file; one that is there stays as it is.
fn write(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), TlsError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => TlsError::Exists(path.to_owned()),
        _ => TlsError::Write { path: path.to_owned(), source },
    };
    let mode = match secrecy {
        Secrecy::Public => 0o644,
        Secrecy::Secret => 0o600,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Whole or not at all.
fn replace(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), TlsError> {
    let new: PathBuf = path.with_extension("new");
    drop(std::fs::remove_file(&new)); // of an attempt that was cut off
    write(&new, text, secrecy)?;
    std::fs::rename(&new, path).map_err(|source| TlsError::Write { path: path.to_owned(), source })
}
