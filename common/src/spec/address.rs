//! Which addresses a spec may name: stores by their scheme and host.
//!
//! It must never let through the addresses at which a cloud hands out its machines' own credentials, however they are
//! written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    S3,
    Gs,
    Az,
    Https,
    /// On loopback only.
    Http,
}

impl Scheme {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::S3, Self::Gs, Self::Az, Self::Https, Self::Http].into_iter().find(|scheme| scheme.as_str() == text)
    }
}

/// A store: `s3://bucket`, `gs://bucket`, `az://container`, `https://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreUrl {
    pub scheme: Scheme,
    /// Bucket, container, or host with its port.
    pub authority: String,
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

impl StoreUrl {
    /// The store of a URL, and what follows it without the first slash.
    ///
    /// # Errors
    /// A scheme that is not read, a user or password in it, an address that is none or forbidden.
    pub fn split(url: &str) -> Result<(Self, &str), String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| "expected a URL such as s3://bucket".to_owned())?;
        let scheme = Scheme::of(scheme).ok_or_else(|| "expected s3://, gs://, az:// or https://".to_owned())?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("it holds a user or password; name where credentials are in data.stores instead".to_owned());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        match scheme {
            Scheme::S3 | Scheme::Gs | Scheme::Az if authority.is_empty() || !authority.chars().all(plain) => {
                Err("expected a bucket of letters, digits, '-', '.' and '_'".to_owned())
            }
            Scheme::S3 | Scheme::Gs | Scheme::Az => Ok((Self { scheme, authority: authority.to_owned() }, path)),
            Scheme::Https | Scheme::Http => {
                let origin = check_endpoint(&format!("{}://{authority}", scheme.as_str()))?;
                Ok((Self { scheme, authority: origin }, path))
            }
        }
    }
}

/// Host and port of an address that may be spoken to, as they are normally written.
///
/// # Errors
/// No https (http but on loopback), a path, or an address of which nothing may be asked.
pub(super) fn check_endpoint(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|e| format!("it is no address: {e}"))?;
    let host = url.host().ok_or_else(|| "it names no host".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.path() != "/" {
        return Err("expected scheme, host and port only".to_owned());
    }
    if is_forbidden(&host) {
        return Err(
            "it is an address of the network's own or of a cloud's metadata, of which nothing is asked".to_owned()
        );
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&host) => {}
        _ => return Err("expected https:// (http:// on loopback only)".to_owned()),
    }
    Ok(url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}")))
}

/// Link-local addresses, and those at which clouds serve credentials.
pub fn is_forbidden<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.as_ref().trim_end_matches('.').to_ascii_lowercase();
            ["metadata.google.internal", "metadata", "instance-data", "metadata.azure.internal"]
                .contains(&name.as_str())
                || name.ends_with(".instance-data.ec2.internal")
        }
        Host::Ipv4(address) => is_forbidden_ip(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_forbidden_ip(IpAddr::V6(*address)),
    }
}

/// See [`is_forbidden`].
fn is_forbidden_ip(address: IpAddr) -> bool {
    const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    const ORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 192);
    const AMAZON: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || [ALIBABA, ORACLE].contains(&v4)
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_forbidden_ip(IpAddr::V4(v4)),
            None => v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast() || v6 == AMAZON,
        },
    }
}

fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref().eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_split_from_their_paths() {
        for (url, store, path) in [
            ("s3://b/a/{0..1}.tar", "s3://b", "a/{0..1}.tar"),
            ("gs://b.c_d-e", "gs://b.c_d-e", ""),
            ("https://Example.org:443/a", "https://example.org", "a"),
            ("http://127.0.0.1:9000/b/k", "http://127.0.0.1:9000", "b/k"),
        ] {
            let (found, rest) = StoreUrl::split(url).expect(url);
            assert_eq!((found.to_string().as_str(), rest), (store, path));
        }
    }

    #[test]
    fn metadata_and_strange_addresses_are_refused_however_they_are_written() {
        for url in [
            "ftp://example.org/a",
            "file:///etc/passwd",
            "http://example.org/a",
            "s3://key:secret@b/a",
            "s3:///a",
            "https://u:p@example.org/a",
            "https://169.254.169.254/latest",
            "https://0xa9fea9fe/latest",
            "https://2852039166/latest",
            "https://0251.0376.0251.0376/",
            "https://[fe80::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[fd00:ec2::254]/",
            "https://metadata.google.internal./computeMetadata",
            "https://METADATA.google.internal/",
            "http://0.0.0.0/",
            "https://",
        ] {
            assert!(StoreUrl::split(url).is_err(), "{url}");
        }
    }
}
