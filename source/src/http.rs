//! The HTTP client of every store: its deadlines, where names may lead, and where redirects may.
//!
//! It must never connect to an address that a spec could not name, whatever a name resolves to or a server answers.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lethe_common::spec::{StoreUrl, is_forbidden};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use url::Host;

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Without a byte; requests have shorter ones of their own.
const READ_DEADLINE: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: usize = 5;

pub(crate) enum Redirects {
    /// Signed requests have no business elsewhere.
    None,
    /// To stores that the spec names.
    To(Vec<StoreUrl>),
}

pub(crate) struct Connector {
    pub allow_http: bool,
    pub allow_metadata: bool,
    pub redirects: Redirects,
    pub token: Option<String>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let wrong =
            |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic { store: "http", source };
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| wrong("the token has characters that no header may have".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("lethe/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .https_only(!self.allow_http)
            .connect_timeout(CONNECT_DEADLINE)
            .read_timeout(READ_DEADLINE)
            .redirect(self.policy())
            .dns_resolver(Arc::new(Guarded { allow_metadata: self.allow_metadata }));
        Ok(HttpClient::new(builder.build().map_err(|e| wrong(Box::new(e)))?))
    }
}

impl Connector {
    fn policy(&self) -> Policy {
        let Redirects::To(allowed) = &self.redirects else { return Policy::none() };
        let allowed = allowed.clone();
        Policy::custom(move |attempt: Attempt<'_>| {
            let store = StoreUrl::split(attempt.url().as_str()).map(|(store, _)| store);
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error("too many redirects")
            } else if store.as_ref().is_ok_and(|store| allowed.contains(store)) {
                attempt.follow()
            } else {
                let host = attempt.url().host_str().unwrap_or_default().to_owned();
                attempt.error(format!("it redirects to {host}, which data.stores does not name"))
            }
        })
    }
}

/// Leaves out addresses of which nothing may be asked.
#[derive(Debug)]
struct Guarded {
    allow_metadata: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_metadata = self.allow_metadata;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = |address: &SocketAddr| {
                let host: Host<&str> = match address {
                    SocketAddr::V4(v4) => Host::Ipv4(*v4.ip()),
                    SocketAddr::V6(v6) => Host::Ipv6(*v6.ip()),
                };
                allow_metadata || !is_forbidden(&host)
            };
            let kept: Vec<SocketAddr> = found.into_iter().filter(allowed).collect();
            if kept.is_empty() {
                return Err(format!("{} leads to no address that may be asked", name.as_str()).into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[tokio::test]
    async fn names_that_lead_to_metadata_lead_nowhere() {
        let resolve =
            |allow_metadata, name: &str| Guarded { allow_metadata }.resolve(Name::from_str(name).expect("is a name"));
        assert!(resolve(false, "localhost").await.is_ok());
        // An address stands for a name that resolves to it.
        for name in ["169.254.169.254", "fe80::1", "fd00:ec2::254"] {
            let refused = resolve(false, name).await.err().expect("is refused").to_string();
            assert!(refused.contains("leads to no address that may be asked"), "{refused}");
        }
        assert!(resolve(true, "169.254.169.254").await.is_ok());
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = Some("hunter2".to_owned());
        let connector = Connector { allow_http: false, allow_metadata: false, redirects: Redirects::None, token };
        assert!(!format!("{connector:?}").contains("hunter2"));
    }
}
