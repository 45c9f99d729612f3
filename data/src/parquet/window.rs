//! A column chunk's bytes, read in pieces of a few MiB, so that small pages do not cost a request each.
//!
//! It must never hold more than one piece.

use std::sync::Arc;

use bytes::Bytes;

use crate::ending::Ending;
use crate::origin::Origin;

const PIECE_BYTES: u64 = 4 << 20;

pub(super) struct Window {
    origin: Arc<dyn Origin>,
    ending: Ending,
    held: Bytes,
    held_at: u64,
}

impl Window {
    pub fn new(origin: Arc<dyn Origin>, ending: Ending) -> Self {
        Self { origin, ending, held: Bytes::new(), held_at: 0 }
    }

    pub fn size_bytes(&self) -> u64 {
        self.origin.size_bytes()
    }

    /// `length` bytes from `at` on, all of them before `end`, which lies within the file.
    pub fn read(&mut self, at: u64, length: u64, end: u64) -> Result<Bytes, String> {
        let held_end = self.held_at + self.held.len() as u64;
        if at < self.held_at || at + length > held_end {
            let fetched = length.max(PIECE_BYTES).min(end - at);
            self.held = Bytes::new(); // before the next piece comes
            let piece = self.origin.range(at, fetched as usize).inspect_err(|error| self.ending.note(error));
            (self.held, self.held_at) = (piece.map_err(|e| e.to_string())?, at);
        }
        let from = (at - self.held_at) as usize;
        self.held.get(from..from + length as usize).ok_or_else(|| "fewer bytes came than were asked for".to_owned())?;
        Ok(self.held.slice(from..from + length as usize))
    }
}
