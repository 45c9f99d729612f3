//! The token that every call carries, where there is one.
//!
//! It must never be an argument or be printed.

use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::exit::bad_input;

/// Not an argument: every user of a machine can read those.
const VARIABLE: &str = "LETHE_TOKEN";

#[derive(Debug, Clone)]
pub struct Credentials(Option<AsciiMetadataValue>);

impl Credentials {
    /// # Errors
    /// Bad input: a token that no header can carry.
    pub fn from_environment() -> anyhow::Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(text) if text.trim().is_empty() => Ok(Self(None)),
            Ok(text) => Self::of(text.trim()),
            Err(std::env::VarError::NotPresent) => Ok(Self(None)),
            Err(std::env::VarError::NotUnicode(_)) => Err(unusable()),
        }
    }

    /// # Errors
    /// As above.
    pub fn of(token: &str) -> anyhow::Result<Self> {
        let mut value: AsciiMetadataValue = format!("Bearer {token}").parse().map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

fn unusable() -> anyhow::Error {
    bad_input(format!("{VARIABLE} holds characters that no header can carry; expected the coordinator's token"))
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        crate::traced::carry(request.metadata_mut());
        Ok(request)
    }
}
