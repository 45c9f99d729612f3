//! The kinds of attack: by strangers, and by somebody with a viewer's certificate.
//!
//! None may ever be told by its own connection's end alone: each request that was sent is counted, with what came of it.

use std::net::SocketAddr;

use lethe_tls::Credentials;

use super::badly;

/// Whom they attack, and what they have.
#[derive(Clone)]
pub struct Foe {
    pub address: SocketAddr,
    pub viewer: Credentials,
    /// By an authority that the coordinator does not believe.
    pub stranger: Credentials,
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A status of gRPC by its name, or "OK".
    Status(&'static str),
    /// The connection was closed, or never made.
    Closed,
    /// The stream was reset, by either side.
    Reset,
    /// It was held open without an answer, and given up by the attacker.
    Held,
    /// No answer in time.
    Nothing,
}

impl Answer {
    pub fn told(&self) -> String {
        match self {
            Self::Status(name) => (*name).to_owned(),
            Self::Closed => "closed".to_owned(),
            Self::Reset => "reset".to_owned(),
            Self::Held => "held".to_owned(),
            Self::Nothing => "no answer".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Strangers send bytes that are no TLS.
    RandomBytes,
    /// Strangers connect, and say nothing.
    Silence,
    /// Strangers shake hands with a certificate of their own.
    Stranger,
    /// A viewer speaks TLS, and then bytes that are no HTTP/2.
    RandomFrames,
    /// A viewer's headers are far too large.
    HugeHeaders,
    /// A viewer's messages are far too large.
    HugeMessages,
    /// A viewer's messages are bytes that mean nothing, to every call that there is.
    RandomMessages,
    /// A viewer takes back what he asked for, at once and again and again.
    RapidReset,
    /// A viewer opens streams as fast as he may, and never ends them.
    StreamFlood,
    /// A viewer asks for everything and takes in nothing.
    SlowReader,
}

impl Attack {
    pub const ALL: [Self; 10] = [
        Self::RandomBytes,
        Self::Silence,
        Self::Stranger,
        Self::RandomFrames,
        Self::HugeHeaders,
        Self::HugeMessages,
        Self::RandomMessages,
        Self::RapidReset,
        Self::StreamFlood,
        Self::SlowReader,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::RandomBytes => "random bytes",
            Self::Silence => "silent connections",
            Self::Stranger => "strangers' certificates",
            Self::RandomFrames => "random frames",
            Self::HugeHeaders => "huge headers",
            Self::HugeMessages => "huge messages",
            Self::RandomMessages => "random messages",
            Self::RapidReset => "rapid resets",
            Self::StreamFlood => "stream floods",
            Self::SlowReader => "slow readers",
        }
    }

    /// Its share of all requests: a handshake or a megabyte costs the attacker as much as the attacked.
    pub fn weight(self) -> u64 {
        match self {
            Self::RandomBytes | Self::Silence => 4,
            Self::Stranger | Self::RandomFrames | Self::HugeMessages => 1,
            Self::HugeHeaders => 3,
            Self::SlowReader => 16,
            Self::RandomMessages | Self::StreamFlood => 30,
            Self::RapidReset => 60,
        }
    }

    /// Requests of one connection.
    pub fn burst(self, left: u64) -> u64 {
        let most = match self {
            Self::RandomBytes | Self::Silence | Self::Stranger | Self::RandomFrames => 1,
            Self::HugeMessages => 8,
            Self::HugeHeaders => 20,
            Self::RandomMessages => 100,
            Self::RapidReset => 500,
            Self::StreamFlood | Self::SlowReader => 200,
        };
        left.min(most)
    }

    /// One connection's worth. What is asked of a connection that could not be made is closed.
    pub async fn burst_of(self, foe: &Foe, requests: u64, seed: u64) -> Vec<Answer> {
        match self {
            Self::RandomBytes => badly::random_bytes(foe, seed).await,
            Self::Silence => badly::silence(foe).await,
            Self::Stranger => badly::stranger(foe).await,
            Self::RandomFrames => badly::random_frames(foe, seed).await,
            Self::HugeHeaders => badly::huge_headers(foe, requests).await,
            Self::HugeMessages => badly::huge_messages(foe, requests).await,
            Self::RandomMessages => badly::random_messages(foe, requests, seed).await,
            Self::RapidReset => badly::rapid_reset(foe, requests).await,
            Self::StreamFlood => badly::stream_flood(foe, requests).await,
            Self::SlowReader => badly::slow_reader(foe, requests).await,
        }
    }
}
