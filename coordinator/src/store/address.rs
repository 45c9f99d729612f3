//! Where a store is, as a person names it: `etcd://h1:2379,h2:2379/prefix`, or `etcds://` over TLS.
//!
//! It must never accept an address that it would then read otherwise than it is meant.

use std::str::FromStr;

use lethe_tls::Outside;

use super::StoreError;

/// With what the members' URLs begin.
const SCHEMES: [(&str, &str); 2] = [("etcd://", "http://"), ("etcds://", "https://")];
const DEFAULT_PREFIX: &str = "/lethe/";

/// An etcd cluster, and the prefix under which all our keys lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAddress {
    /// As URLs.
    pub endpoints: Vec<String>,
    /// Begins and ends with '/'.
    pub prefix: String,
    /// By what members of `https` are believed, and we are.
    pub tls: Option<Outside>,
}

impl EtcdAddress {
    /// The default prefix at these endpoints.
    pub fn new(endpoints: Vec<String>) -> Self {
        Self { endpoints, prefix: DEFAULT_PREFIX.to_owned(), tls: None }
    }

    /// Over TLS, which goes with `etcds://` alone.
    ///
    /// # Errors
    /// One without the other.
    pub fn with_tls(self, tls: Option<Outside>) -> Result<Self, StoreError> {
        let is_secure = self.endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
        let wrong = |reason: &str| StoreError::Address { address: self.endpoints.join(","), reason: reason.to_owned() };
        match (is_secure, &tls) {
            (true, None) => {
                Err(wrong("etcds:// needs the folder of the authority that vouches for it: --store-tls FOLDER"))
            }
            (false, Some(_)) => Err(wrong("--store-tls is for etcds://; etcd:// is spoken to in the clear")),
            (true, Some(_)) | (false, None) => Ok(Self { tls, ..self }),
        }
    }
}

impl FromStr for EtcdAddress {
    type Err = StoreError;

    fn from_str(address: &str) -> Result<Self, StoreError> {
        let wrong = |reason: String| StoreError::Address { address: address.to_owned(), reason };
        let known = SCHEMES.iter().find_map(|(scheme, url)| Some((address.strip_prefix(scheme)?, *url)));
        let (rest, scheme) = known.ok_or_else(|| wrong("it does not begin with etcd:// or etcds://".to_owned()))?;
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let endpoints = hosts.split(',').map(|host| endpoint(scheme, host).map_err(wrong)).collect::<Result<_, _>>()?;
        let prefix = match path.trim_matches('/') {
            "" => DEFAULT_PREFIX.to_owned(),
            path => format!("/{path}/"),
        };
        Ok(Self { endpoints, prefix, tls: None })
    }
}

fn endpoint(scheme: &str, host: &str) -> Result<String, String> {
    let port = host.rsplit_once(':').filter(|(name, _)| !name.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(format!("{scheme}{host}")),
        Some(Ok(0) | Err(_)) | None => Err(format!("{host:?} is no HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_members_and_perhaps_a_prefix() {
        let two: EtcdAddress = "etcd://a:2379,[::1]:2380".parse().expect("is an address");
        assert_eq!(two, EtcdAddress::new(vec!["http://a:2379".to_owned(), "http://[::1]:2380".to_owned()]));
        let deep: EtcdAddress = "etcd://a:1/team/lethe/".parse().expect("is an address");
        assert_eq!(deep.prefix, "/team/lethe/");
        let secure: EtcdAddress = "etcds://a:1,b:2".parse().expect("is an address");
        assert_eq!(secure.endpoints, ["https://a:1", "https://b:2"]);
        assert!(secure.with_tls(None).expect_err("lacks it").to_string().contains("--store-tls"));
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for (wrong, told) in [("a:2379", "etcd://"), ("etcd://a", "HOST:PORT"), ("etcd://a:1,,b:2", "HOST:PORT")] {
            let error = wrong.parse::<EtcdAddress>().expect_err("is no address").to_string();
            assert!(error.contains(told) && error.contains(wrong), "{error}");
        }
    }
}
