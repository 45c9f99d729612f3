//! A shard packed by gzip, unpacked on the way.
//!
//! It must never go on with a decompression bomb: pictures hardly pack, so that what unpacks to hundreds of times its size
//! is none of ours.

use std::io::{self, BufReader, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

/// Bytes that may come out for each that went in...
const MAX_RATIO: u64 = 200;
/// ... beyond these, so that a small shard of one colour is no bomb.
const FREE_BYTES: u64 = 64 << 20;

pub(crate) struct Gunzip<R> {
    decoder: MultiGzDecoder<BufReader<Counted<R>>>,
    unpacked: u64,
}

impl<R: Read> Gunzip<R> {
    pub fn new(reader: R, buffer_bytes: usize) -> Self {
        let counted = Counted { reader, bytes: 0 };
        Self { decoder: MultiGzDecoder::new(BufReader::with_capacity(buffer_bytes, counted)), unpacked: 0 }
    }
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.unpacked += read as u64;
        let packed = self.decoder.get_ref().get_ref().bytes;
        if self.unpacked > FREE_BYTES + MAX_RATIO * packed {
            let reason = format!("it unpacks to more than {MAX_RATIO} times its size; is it a decompression bomb?");
            return Err(io::Error::new(ErrorKind::InvalidData, reason));
        }
        Ok(read)
    }
}

struct Counted<R> {
    reader: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
