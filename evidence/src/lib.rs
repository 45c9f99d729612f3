//! Tables and decisions about samples: signals, cuts, ranks, word odds and how good a ranking is.
//!
//! It must never touch a file, a socket, a clock or a random source: bytes and numbers in, bytes and
//! numbers out.

pub mod artifacts;
pub mod classes;
mod columns;
pub mod cut;
pub mod digest;
mod error;
pub mod odds;
pub mod otsu;
pub mod pairs;
pub mod ranking;
pub mod ranks;
pub mod shortcut;
pub mod signals;
mod streams;
pub mod suspects;
mod table_writer;
pub mod words;

pub use cut::Cut;
pub use digest::ScoreDigest;
pub use error::EvidenceError;
pub use odds::WordCounts;
pub use pairs::{PairRole, PairRow, PairTable};
pub use ranks::{Ecdf, fisher};
pub use signals::{KeyedScore, SignalRow, SignalTable};
pub use streams::{RowBatches, RowWriter};
pub use suspects::{Suspect, SuspectTable};
