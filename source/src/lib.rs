//! Where shards lie: files here, and objects in S3, Google, Azure and https stores; listed, pinned, and read as bytes. And where
//! blobs lie, in the same stores.
//!
//! It must never know a format, hold more of an object than a few chunks, speak to an address that the spec does not name,
//! or show a secret. Its calls block: they are for threads that may wait.

mod blobs;
mod credentials;
mod error;
mod glob;
mod http;
mod list;
mod local;
mod objects;
mod pin;
mod place;
mod remote;
mod runtime;
mod source;
mod stream;
mod tries;

pub use blobs::open as open_blobs;
pub use error::SourceError;
pub use glob::is_glob;
pub use list::files as local_files;
pub use pin::Pinned;
pub use source::Source;
