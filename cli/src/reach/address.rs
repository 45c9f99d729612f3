//! Where a coordinator is reached.
//!
//! It must never hold anything but a scheme, a host and a port: no path, no secret.

use std::fmt;

use lethe_tls::{Credentials, Target, TargetError};

use crate::exit::bad_input;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

impl Address {
    /// Takes `https://host:port`, `http://host:port`, and `host:port` as the latter.
    ///
    /// # Errors
    /// Bad input, with what was expected.
    pub fn new(text: &str) -> anyhow::Result<Self> {
        let refuse =
            || bad_input(format!("the coordinator address {text:?} is none; expected such as https://10.0.0.1:7400"));
        let text = text.trim().trim_end_matches('/');
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: tonic::transport::Uri = full.parse().map_err(|_| refuse())?;
        let plain = matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none();
        let whole = uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'));
        if plain && whole && uri.port_u16().is_some() { Ok(Self(full)) } else { Err(refuse()) }
    }

    /// How it is dialled.
    ///
    /// # Errors
    /// Plain text off loopback, or TLS without a certificate.
    pub fn target(&self, certificate: Option<&Credentials>) -> Result<Target, TargetError> {
        Target::new(&self.0, certificate)
    }

    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_and_its_port_are_an_address() {
        for good in ["http://10.0.0.1:4040", "10.0.0.1:4040", " http://10.0.0.1:4040/ "] {
            assert_eq!(Address::new(good).expect(good).to_string(), "http://10.0.0.1:4040");
        }
        assert!(Address::new("http://[::1]:4040").is_ok());
        assert!(Address::new("https://lethe:4040").expect("is one").is_secure());
        for bad in
            ["", "http://", "10.0.0.1", "ftp://a:1", "http://a:1/x", "http://me:secret@a:1", "http://a:1?b", "a b:1"]
        {
            let error = Address::new(bad).expect_err(bad);
            assert!(error.is::<crate::exit::BadInput>(), "{error}");
        }
    }
}
