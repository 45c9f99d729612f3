//! The pages of one column chunk, each bounded before it is read and while it is unpacked.
//!
//! It must never give the crate's decoders a count that its bytes cannot hold: they allocate by it.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;

use super::header::{MAX_HEADER_BYTES, PageHeader, PageKind};
use super::unpack::unpack;
use super::window::Window;

/// The largest page, packed or unpacked: writers end a page after 1,024 values, whatever they weigh.
pub(super) const MAX_PAGE_BYTES: u64 = 256 << 20;
/// Writers give a dictionary up at 1 MiB.
const MAX_DICTIONARY_VALUES: u32 = 1 << 20;
/// Each value of a plain dictionary has its length before it.
const LENGTH_BYTES: u64 = 4;

pub(super) struct Pages {
    window: Window,
    codec: Compression,
    at: u64,
    end: u64,
    dictionary: bool,
}

impl Pages {
    pub fn open(window: Window, chunk: &ColumnChunkMetaData) -> Result<Self, String> {
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let (Ok(at), Ok(length)) = (u64::try_from(start), u64::try_from(chunk.compressed_size())) else {
            return Err("a column chunk that lies before the file".to_owned());
        };
        let size = window.size_bytes();
        let end = at.checked_add(length).filter(|end| *end <= size);
        let end = end.ok_or_else(|| format!("a column chunk of {length} bytes at {at}; the file has {size}"))?;
        Ok(Self { window, codec: chunk.compression(), at, end, dictionary: false })
    }

    fn next_page(&mut self) -> Result<Option<Page>, String> {
        while self.at < self.end {
            let head = self.window.read(self.at, MAX_HEADER_BYTES.min(self.end - self.at), self.end)?;
            let (header, length) = PageHeader::parse(&head)?;
            drop(head);
            self.at += length;
            let body = self.body(&header)?;
            if let Some(page) = self.page(&header, body)? {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    fn body(&mut self, header: &PageHeader) -> Result<Bytes, String> {
        let (packed, unpacked) = (header.packed_bytes, header.unpacked_bytes);
        if packed.max(unpacked) > MAX_PAGE_BYTES {
            return Err(format!("a page of {packed} bytes, {unpacked} unpacked; the limit is {MAX_PAGE_BYTES}"));
        }
        if packed > self.end - self.at {
            return Err(format!("a page of {packed} bytes; its column has {} more", self.end - self.at));
        }
        let body = self.window.read(self.at, packed, self.end)?;
        self.at += packed;
        Ok(body)
    }

    /// None for a page that is passed over.
    fn page(&mut self, header: &PageHeader, body: Bytes) -> Result<Option<Page>, String> {
        let expected = header.unpacked_bytes as usize;
        match header.kind {
            PageKind::Index => Ok(None),
            PageKind::Dictionary { values, encoding } => {
                let buf = self.unpacked(body, expected)?;
                self.check_dictionary(values, &buf)?;
                Ok(Some(Page::DictionaryPage {
                    buf,
                    num_values: values,
                    encoding: self.encoding(encoding)?,
                    is_sorted: false,
                }))
            }
            PageKind::Data { values, encoding, levels } => Ok(Some(Page::DataPage {
                num_values: values,
                encoding: self.encoding(encoding)?,
                def_level_encoding: level_encoding(levels)?,
                rep_level_encoding: Encoding::RLE,
                buf: self.unpacked(body, expected)?,
                statistics: None,
            })),
            PageKind::DataV2 { values, nulls, rows, encoding, definition_bytes, repetition_bytes, packed } => {
                // The levels are never packed.
                let levels = definition_bytes as usize + repetition_bytes as usize;
                if levels > body.len() || levels > expected {
                    return Err(format!("a page whose levels have {levels} bytes, and the page {}", body.len()));
                }
                let buf = if packed && expected > levels {
                    let values = unpack(self.codec, &body[levels..], expected - levels)?;
                    Bytes::from([&body[..levels], &values].concat())
                } else {
                    body
                };
                Ok(Some(Page::DataPageV2 {
                    buf,
                    num_values: values,
                    encoding: self.encoding(encoding)?,
                    num_nulls: nulls,
                    num_rows: rows,
                    def_levels_byte_len: definition_bytes,
                    rep_levels_byte_len: repetition_bytes,
                    is_compressed: false,
                    statistics: None,
                }))
            }
        }
    }

    fn unpacked(&self, body: Bytes, expected: usize) -> Result<Bytes, String> {
        match self.codec {
            Compression::UNCOMPRESSED if body.len() == expected => Ok(body),
            _ => unpack(self.codec, &body, expected).map(Bytes::from),
        }
    }

    fn check_dictionary(&mut self, values: u32, buf: &Bytes) -> Result<(), String> {
        if std::mem::replace(&mut self.dictionary, true) {
            return Err("a column with two dictionaries".to_owned());
        }
        if values > MAX_DICTIONARY_VALUES || u64::from(values) * LENGTH_BYTES > buf.len() as u64 {
            return Err(format!("a dictionary of {values} values in {} bytes", buf.len()));
        }
        Ok(())
    }

    /// What a page's values are written in. Delta encodings hold counts of their own, which the decoders trust.
    fn encoding(&self, encoding: i64) -> Result<Encoding, String> {
        match encoding {
            0 => Ok(Encoding::PLAIN),
            2 | 8 if self.dictionary => Ok(Encoding::RLE_DICTIONARY),
            2 | 8 => Err("a column that needs a dictionary and has none".to_owned()),
            other => Err(format!(
                "values in encoding {other}; expected plain (0) or a dictionary (2, 8), so write the file again without delta encodings"
            )),
        }
    }
}

fn level_encoding(encoding: i64) -> Result<Encoding, String> {
    match encoding {
        3 => Ok(Encoding::RLE),
        #[expect(deprecated, reason = "files of old writers have it")]
        4 => Ok(Encoding::BIT_PACKED),
        other => Err(format!("levels in encoding {other}; expected 3 or 4")),
    }
}

impl Iterator for Pages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        self.next_page().map_err(ParquetError::General)
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        Err(ParquetError::NYI("rows are never skipped".to_owned()))
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        Err(ParquetError::NYI("rows are never skipped".to_owned()))
    }
}
