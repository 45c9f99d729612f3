//! Whether a shard was read to its end, or its bytes stopped coming.
//!
//! It must never blame a sample for a broken disk or connection: whoever reads a shard asks here once he is through, and
//! throws away what he made of one that broke off.

use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, OnceLock};

/// Shared by a shard's reader and whoever uses its samples.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<OnceLock<String>>);

/// The bytes of a shard stopped coming; reading it again may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BrokenOff(String);

impl Ending {
    /// # Errors
    /// What kept the shard from being read whole, so far.
    pub fn whole(&self) -> Result<(), BrokenOff> {
        self.0.get().map_or(Ok(()), |reason| Err(BrokenOff(reason.clone())))
    }

    /// The first reason stays.
    pub(crate) fn note(&self, error: &io::Error) {
        self.0.get_or_init(|| error.to_string());
    }
}

/// A stream whose failures are noted: also an end before all bytes came.
pub(crate) struct Watched<R> {
    reader: R,
    left: u64,
    ending: Ending,
}

impl<R: Read> Watched<R> {
    pub fn new(reader: R, size_bytes: u64, ending: Ending) -> Self {
        Self { reader, left: size_bytes, ending }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.reader.read(buffer) {
            Ok(0) if self.left > 0 && !buffer.is_empty() => {
                let left = self.left;
                Err(io::Error::new(ErrorKind::UnexpectedEof, format!("the bytes ended {left} short of the size")))
            }
            read => read,
        };
        match &read {
            Ok(bytes) => self.left = self.left.saturating_sub(*bytes as u64),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.ending.note(error),
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_before_the_size_is_noted() {
        for (size, whole) in [(3, true), (4, false)] {
            let ending = Ending::default();
            let read = Watched::new(&b"abc"[..], size, ending.clone()).read_to_end(&mut Vec::new());
            assert_eq!((read.is_ok(), ending.whole().is_ok()), (whole, whole));
        }
    }
}
