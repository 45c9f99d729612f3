//! One page, unpacked to the size that its header says and not a byte more.
//!
//! It must never ask a codec for all that comes out: a page of a few KiB can hold GiB.

use std::io::Read;

use parquet::basic::Compression;

/// What a buffer begins with for each packed byte; it grows to the stated size as bytes come.
const LIKELY_RATIO: usize = 4;

pub(super) fn unpack(codec: Compression, packed: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    match codec {
        Compression::UNCOMPRESSED => exactly(packed.to_vec(), expected),
        Compression::SNAPPY => {
            let told = snap::raw::decompress_len(packed).map_err(|e| format!("snappy: {e}"))?;
            check(told, expected)?;
            snap::raw::Decoder::new().decompress_vec(packed).map_err(|e| format!("snappy: {e}"))
        }
        Compression::GZIP(_) => stream(flate2::read::MultiGzDecoder::new(packed), packed.len(), expected),
        Compression::BROTLI(_) => stream(brotli_decompressor::Decompressor::new(packed, 4096), packed.len(), expected),
        Compression::ZSTD(_) => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(|e| format!("zstd: {e}"))?;
            stream(decoder, packed.len(), expected)
        }
        Compression::LZ4_RAW => {
            let unpacked = lz4_flex::block::decompress(packed, expected).map_err(|e| format!("lz4: {e}"))?;
            exactly(unpacked, expected)
        }
        Compression::LZO | Compression::LZ4 => Err(format!(
            "{codec} is not read; expected snappy, gzip, brotli, zstd, lz4_raw or none, so write the file again"
        )),
    }
}

fn stream(reader: impl Read, packed: usize, expected: usize) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::with_capacity(expected.min(packed.saturating_mul(LIKELY_RATIO)));
    reader
        .take(expected as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|e| format!("a page cannot be unpacked: {e}"))?;
    exactly(unpacked, expected)
}

fn exactly(unpacked: Vec<u8>, expected: usize) -> Result<Vec<u8>, String> {
    check(unpacked.len(), expected)?;
    Ok(unpacked)
}

fn check(found: usize, expected: usize) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("a page unpacks to {found} bytes or more; its header says {expected}"))
    }
}
