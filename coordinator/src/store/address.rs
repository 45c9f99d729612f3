//! Where a store is, as a person names it: `etcd://h1:2379,h2:2379/prefix`.
//!
//! It must never accept an address that it would then read otherwise than it is meant.

use std::str::FromStr;

use super::StoreError;

const SCHEME: &str = "etcd://";
const DEFAULT_PREFIX: &str = "/lethe/";

/// An etcd cluster, and the prefix under which all our keys lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAddress {
    /// As URLs.
    pub endpoints: Vec<String>,
    /// Begins and ends with '/'.
    pub prefix: String,
}

impl EtcdAddress {
    /// The default prefix at these endpoints.
    pub fn new(endpoints: Vec<String>) -> Self {
        Self { endpoints, prefix: DEFAULT_PREFIX.to_owned() }
    }
}

impl FromStr for EtcdAddress {
    type Err = StoreError;

    fn from_str(address: &str) -> Result<Self, StoreError> {
        let wrong = |reason: String| StoreError::Address { address: address.to_owned(), reason };
        let rest = address.strip_prefix(SCHEME).ok_or_else(|| wrong(format!("it does not begin with {SCHEME}")))?;
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let endpoints = hosts.split(',').map(|host| endpoint(host).map_err(wrong)).collect::<Result<_, _>>()?;
        let prefix = match path.trim_matches('/') {
            "" => DEFAULT_PREFIX.to_owned(),
            path => format!("/{path}/"),
        };
        Ok(Self { endpoints, prefix })
    }
}

fn endpoint(host: &str) -> Result<String, String> {
    let port = host.rsplit_once(':').filter(|(name, _)| !name.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(format!("http://{host}")),
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
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for (wrong, told) in [("a:2379", "etcd://"), ("etcd://a", "HOST:PORT"), ("etcd://a:1,,b:2", "HOST:PORT")] {
            let error = wrong.parse::<EtcdAddress>().expect_err("is no address").to_string();
            assert!(error.contains(told) && error.contains(wrong), "{error}");
        }
    }
}
