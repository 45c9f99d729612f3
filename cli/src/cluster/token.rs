//! The secret that the processes of one cluster share.
//!
//! It must never be on a command line or in a log: it travels in the children's environment.

use std::fmt;
use std::fs::File;
use std::io::Read;

use anyhow::Context;

#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// 256 bits from the system's random source.
    pub fn draw() -> anyhow::Result<Self> {
        let mut bytes = [0_u8; 32];
        File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).context("cannot draw a random token")?;
        Ok(Self(bytes.iter().map(|b| format!("{b:02x}")).collect()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
