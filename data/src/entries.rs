//! A tar as a stream of headers and bodies, each bounded, from any reader.
//!
//! It must never hold more than one body, nor a longer one than was asked for: the `tar` crate's own
//! iterator reads long names of any size and borrows its archive, so only its header types are used.

use std::io::{ErrorKind, Read};

use tar::{EntryType, Header, PaxExtensions};

pub(crate) const BLOCK_BYTES: usize = 512;
/// The longest long name or PAX header, in bytes.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

pub(crate) struct Entries<R> {
    reader: R,
    turn: fn(&mut R, Turn<'_>),
    /// Bytes of the current entry, padding included, that were not read yet.
    left: u64,
    padding: u64,
}

/// A file in the tar; its body comes next in the stream.
pub(crate) struct Member {
    pub name: Vec<u8>,
    pub size_bytes: u64,
}

/// Where the stream is, for a reader that must know what the bytes it gave were.
pub(crate) enum Turn<'a> {
    /// A header is read next; all before it was read.
    Header,
    /// The header that was read last holds for all members that follow.
    Global,
    /// It and its extensions are a folder, a link or the like.
    Other,
    /// It and its extensions are this file, whose body comes next.
    Member(&'a [u8]),
    /// No header comes any more, or none that can be read.
    End,
}

impl<R: Read> Entries<R> {
    pub fn new(reader: R) -> Self {
        Self::with_turns(reader, |_, _| ())
    }

    /// Tells the reader each turn.
    pub fn with_turns(reader: R, turn: fn(&mut R, Turn<'_>)) -> Self {
        Self { reader, turn, left: 0, padding: 0 }
    }

    pub fn into_reader(self) -> R {
        self.reader
    }

    /// The next regular file, or `None` at the end. After an error there is nothing more to be had.
    pub fn next_file(&mut self) -> Result<Option<Member>, String> {
        let found = self.find_file();
        let turn = found.as_ref().ok().and_then(Option::as_ref).map_or(Turn::End, |member| Turn::Member(&member.name));
        (self.turn)(&mut self.reader, turn);
        found
    }

    fn find_file(&mut self) -> Result<Option<Member>, String> {
        let mut long_name = None;
        while let Some(header) = self.next_header()? {
            let kind = header.entry_type();
            if kind == EntryType::GNULongName {
                let mut name = self.extension()?;
                name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
                long_name = Some(name);
            } else if kind == EntryType::XHeader {
                long_name = pax_path(&self.extension()?)?.or(long_name);
            } else if kind.is_file() || kind.is_contiguous() {
                let name = long_name.take().unwrap_or_else(|| header.path_bytes().into_owned());
                return Ok(Some(Member { name, size_bytes: self.left }));
            } else if kind == EntryType::XGlobalHeader {
                (self.turn)(&mut self.reader, Turn::Global);
            } else if kind != EntryType::GNULongLink {
                long_name = None; // it belonged to this folder or link
                (self.turn)(&mut self.reader, Turn::Other);
            }
        }
        Ok(None)
    }

    /// The current member's bytes. The caller has checked the size.
    pub fn body(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let expected = self.left;
        let read = (&mut self.reader).take(expected).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        self.left -= read as u64;
        if self.left > 0 { Err(format!("the tar ends {} bytes early", self.left)) } else { Ok(bytes) }
    }

    fn extension(&mut self) -> Result<Vec<u8>, String> {
        match self.left {
            long if long > MAX_EXTENSION_BYTES => {
                Err(format!("a tar extension header of {long} bytes; the limit is {MAX_EXTENSION_BYTES}"))
            }
            _ => self.body(),
        }
    }

    fn next_header(&mut self) -> Result<Option<Header>, String> {
        self.skip()?;
        (self.turn)(&mut self.reader, Turn::Header);
        let mut header = Header::new_old();
        if !self.block(header.as_mut_bytes())? || header.as_bytes().iter().all(|b| *b == 0) {
            return Ok(None);
        }
        check_sum(&header)?;
        self.left = header.entry_size().map_err(|e| e.to_string())?;
        self.padding = self.left.next_multiple_of(BLOCK_BYTES as u64) - self.left;
        Ok(Some(header))
    }

    /// Passes over what is left of the current entry.
    fn skip(&mut self) -> Result<(), String> {
        let expected = self.left.saturating_add(self.padding);
        let skipped =
            std::io::copy(&mut (&mut self.reader).take(expected), &mut std::io::sink()).map_err(|e| e.to_string())?;
        (self.left, self.padding) = (0, 0);
        if skipped < expected { Err(format!("the tar ends {} bytes early", expected - skipped)) } else { Ok(()) }
    }

    /// Fills a header's block; false where the stream ends before its first byte.
    fn block(&mut self, block: &mut [u8; BLOCK_BYTES]) -> Result<bool, String> {
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(format!("the tar ends inside a header, after {filled} bytes")),
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(true)
    }
}

fn check_sum(header: &Header) -> Result<(), String> {
    let bytes = header.as_bytes();
    let spaces = 8 * u32::from(b' ');
    let found = bytes[..148].iter().chain(&bytes[156..]).map(|b| u32::from(*b)).sum::<u32>() + spaces;
    match header.cksum() {
        Ok(expected) if expected == found => Ok(()),
        Ok(expected) => Err(format!("tar header has checksum {found}, expected {expected}; is it a tar?")),
        Err(error) => Err(format!("tar header without a checksum ({error}); is it a tar?")),
    }
}

fn pax_path(extension: &[u8]) -> Result<Option<Vec<u8>>, String> {
    for record in PaxExtensions::new(extension) {
        let record = record.map_err(|e| format!("PAX header: {e}"))?;
        if record.key_bytes() == b"path" {
            return Ok(Some(record.value_bytes().to_vec()));
        }
    }
    Ok(None)
}
