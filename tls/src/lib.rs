//! Mutual TLS between coordinators, workers and clients: certificates as files, who they name, and both ends of a
//! connection.
//!
//! Servers that are none of ours are dialled too, by their own authority.
//!
//! It must never know a call, a job or a right: it says who is there, and who may do what is the coordinator's table.

pub mod authority;
mod client;
mod credentials;
mod error;
mod identity;
mod material;
mod outside;
mod secret;
mod server;

pub use client::{Target, TargetError, connect, is_loopback};
pub use credentials::Credentials;
pub use error::TlsError;
pub use identity::{Identity, IdentityError, Role};
pub use material::{CERTIFICATE, KEY, Material, ROOTS};
pub use outside::Outside;
pub use secret::secret;
pub use server::{Callers, Peer, Stream, accept};
