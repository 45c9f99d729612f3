//! Where a shard's bytes come from, and those of pictures that a manifest names.
//!
//! It must never know a format: readers ask for a stream or for ranges, and judge what comes.

use std::io::{self, Read};

use bytes::Bytes;

use crate::location::Location;

/// One shard: a file here, or an object in a store. Whoever implements it tries again what can be tried again, so that
/// an error from it is final.
pub trait Origin: Send + Sync {
    /// As it is shown in messages and its ending tells the format.
    fn name(&self) -> &str;

    fn size_bytes(&self) -> u64;

    /// All bytes from the first on.
    ///
    /// # Errors
    /// The shard cannot be opened.
    fn stream(&self) -> io::Result<Box<dyn Read + Send>>;

    /// `length` bytes from `start` on; the caller keeps within the size.
    ///
    /// # Errors
    /// The bytes cannot be had.
    fn range(&self, start: u64, length: usize) -> io::Result<Bytes>;

    /// Begins to fetch a picture of a manifest, of at most `limit_bytes`.
    fn picture(&self, location: &Location, limit_bytes: u64) -> Pending;
}

/// A picture that is on its way; calling it waits.
pub type Pending = Box<dyn FnOnce() -> Result<Bytes, Unfetched> + Send>;

/// Why a picture did not come.
#[derive(Debug)]
pub enum Unfetched {
    /// It is not there, too large or not allowed: its sample's fault.
    Refused(String),
    /// The way there broke: nobody knows what it is.
    Lost(io::Error),
}
