//! Copies the bytes of a tar as they are read, but for those of members whose keys are listed.
//!
//! It must never hold a body: what waits for its decision are the headers of one member alone.

use std::io::{self, Read, Write};
use std::ops::Range;

use super::Listed;
use crate::entries::{BLOCK_BYTES, Turn};
use crate::error::DataError;
use crate::reader::split;

/// Headers before one member, with their extensions: two of them have a limit of 64 KiB each when they are read.
const MAX_HELD_BYTES: usize = 1 << 20;

/// What becomes of the bytes that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Their member is not known yet.
    Held,
    Kept,
    Dropped,
}

pub(super) struct Tap<'a, R> {
    reader: R,
    output: &'a mut (dyn Write + Send),
    listed: &'a Listed,
    fate: Fate,
    held: Vec<u8>,
    /// Where in `held` global headers lie: they are kept, since they hold for what follows too.
    lasting: Vec<Range<usize>>,
    /// Where a global header began that is still being read.
    lasting_from: Option<usize>,
    /// Readers take an error for a broken tar; what failed here is told at the end.
    failed: Option<DataError>,
}

impl<'a, R: Read> Tap<'a, R> {
    pub fn new(reader: R, output: &'a mut (dyn Write + Send), listed: &'a Listed) -> Self {
        Self {
            reader,
            output,
            listed,
            fate: Fate::Held,
            held: Vec::new(),
            lasting: Vec::new(),
            lasting_from: None,
            failed: None,
        }
    }

    pub fn turn(&mut self, turn: Turn<'_>) {
        match turn {
            Turn::Header => self.begin_header(),
            Turn::Global => self.lasting_from = Some(self.held.len() - BLOCK_BYTES),
            Turn::Other | Turn::End => self.keep(),
            Turn::Member(name) if self.is_listed(name) => self.leave_out(),
            Turn::Member(_) => self.keep(),
        }
    }

    /// Copies what follows the last member, and tells what went wrong.
    pub fn finish(mut self, name: &str) -> Result<(), DataError> {
        if self.failed.is_none() && self.fate == Fate::Held {
            self.keep();
        }
        let rest = io::copy(&mut self, &mut io::sink());
        let unreadable = |e: io::Error| DataError::Broken { name: name.to_owned(), reason: e.to_string() };
        match self.failed {
            Some(failed) => Err(failed),
            None => rest.map(drop).map_err(unreadable),
        }
    }

    fn is_listed(&self, name: &[u8]) -> bool {
        split(name).is_some_and(|(key, _)| self.listed.contains_key(&key))
    }

    /// Extensions before a header wait together with it.
    fn begin_header(&mut self) {
        if self.fate == Fate::Held {
            self.lasting.extend(self.lasting_from.take().map(|from| from..self.held.len()));
        } else {
            self.fate = Fate::Held;
        }
    }

    fn keep(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.decide(Fate::Kept, [&held[..]]);
    }

    fn leave_out(&mut self) {
        let (held, lasting) = (std::mem::take(&mut self.held), std::mem::take(&mut self.lasting));
        self.decide(Fate::Dropped, lasting.into_iter().map(|range| &held[range]));
    }

    fn decide<'b>(&mut self, fate: Fate, written: impl IntoIterator<Item = &'b [u8]>) {
        (self.fate, self.lasting_from) = (fate, None);
        self.lasting.clear();
        for bytes in written {
            self.write(bytes);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none()
            && let Err(error) = self.output.write_all(bytes)
        {
            self.failed = Some(error.into());
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.len() + bytes.len() > MAX_HELD_BYTES {
            let problem = format!("the headers before a member have more than {MAX_HELD_BYTES} bytes");
            self.failed.get_or_insert(DataError::Unwritable { key: String::new(), problem });
        } else {
            self.held.extend_from_slice(bytes);
        }
    }
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        match self.fate {
            Fate::Held => self.hold(&buffer[..read]),
            Fate::Kept => self.write(&buffer[..read]),
            Fate::Dropped => {}
        }
        if self.failed.is_some() { Err(io::Error::other("the shard's copy failed")) } else { Ok(read) }
    }
}
