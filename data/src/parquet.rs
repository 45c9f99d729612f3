//! Parquet with an image in each row, as img2dataset and Hugging Face's datasets write it, as a stream of samples.
//!
//! It must never take a header's word for a size: pages are bounded before they are read, and again while they are unpacked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use crate::ending::Ending;
use crate::keys;
use crate::origin::Origin;
use crate::sample::{BadSample, Limits, Sample};

mod column;
mod columns;
mod filter;
mod header;
mod pages;
mod unpack;
mod window;

use column::Column;
use columns::Columns;
pub(crate) use filter::filter;
use window::Window;

const MAGIC: &[u8; 4] = b"PAR1";
/// The length of the metadata and the magic.
const TAIL_BYTES: u64 = 8;
const MAX_METADATA_BYTES: u64 = 4 << 20;

pub(crate) struct ParquetReader {
    origin: Arc<dyn Origin>,
    limits: Limits,
    ending: Ending,
    metadata: ParquetMetaData,
    columns: Columns,
    /// The row group that comes after the current one.
    next_group: usize,
    rows: Option<Group>,
    /// The current row in the file, counted from 0.
    row: u64,
}

/// The columns of one row group.
struct Group {
    left: u64,
    image: Column,
    caption: Column,
    key: Option<Column>,
    url: Option<Column>,
}

impl ParquetReader {
    /// Reads the footer.
    ///
    /// # Errors
    /// A damaged footer; columns that are not there, with those that are.
    pub fn open(origin: Arc<dyn Origin>, limits: Limits, ending: Ending) -> Result<Self, String> {
        let footer = footer(&*origin, &ending)?;
        let metadata =
            guarded(|| ParquetMetaDataReader::decode_metadata(&footer).map_err(|e| format!("its footer: {e}")))?;
        let columns = Columns::of(metadata.file_metadata().schema_descr())?;
        check_rows(&metadata, origin.size_bytes())?;
        Ok(Self { origin, limits, ending, metadata, columns, next_group: 0, rows: None, row: 0 })
    }

    fn open_group(&self, at: usize) -> Result<Group, String> {
        let group = self.metadata.row_group(at);
        let column = |at: usize| {
            let meta = group.columns().get(at).ok_or("a row group lacks a column")?;
            Column::open(Window::new(self.origin.clone(), self.ending.clone()), meta)
        };
        Ok(Group {
            left: u64::try_from(group.num_rows()).map_err(|_| "a row group has fewer than no rows")?,
            image: column(self.columns.image)?,
            caption: column(self.columns.caption)?,
            key: self.columns.key.map(column).transpose()?,
            url: self.columns.url.map(column).transpose()?,
        })
    }

    /// The next row, from the next group that has one.
    fn advance(&mut self) -> Option<Result<Result<Sample, BadSample>, String>> {
        loop {
            match &mut self.rows {
                Some(group) if group.left > 0 => {
                    group.left -= 1;
                    let (row, limits) = (self.row, self.limits);
                    self.row += 1;
                    return Some(guarded(|| group.next(row, limits)));
                }
                Some(_) | None if self.next_group >= self.metadata.num_row_groups() => return None,
                Some(_) | None => {
                    let at = self.next_group;
                    self.next_group += 1;
                    match guarded(|| self.open_group(at)) {
                        Ok(group) => self.rows = Some(group),
                        Err(reason) => return Some(Err(reason)),
                    }
                }
            }
        }
    }

    /// Gives up the current row group, and all that follow where no more bytes come.
    fn give_up(&mut self, reason: &str) -> BadSample {
        let left = self.rows.take().map_or(0, |group| group.left);
        if self.ending.whole().is_err() {
            self.next_group = usize::MAX;
        }
        let (first, key) = (self.row, row_key(self.row.saturating_sub(1)));
        self.row = self.row.saturating_add(left);
        let rest = format!("{left} more rows of its row group, from {first} on,");
        BadSample { key, reason: format!("this row and {rest} cannot be read: {reason}") }
    }
}

impl Iterator for ParquetReader {
    type Item = Result<Sample, BadSample>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.advance()?.unwrap_or_else(|reason| Err(self.give_up(&reason))))
    }
}

impl Group {
    /// The outer error is the group's, the inner one the row's.
    fn next(&mut self, row: u64, limits: Limits) -> Result<Result<Sample, BadSample>, String> {
        // All columns move on, whatever one of them holds.
        let (image, caption) = (self.image.next()?, self.caption.next()?);
        let key = self.key.as_mut().map(Column::next).transpose()?.flatten();
        let url = self.url.as_mut().map(Column::next).transpose()?.flatten();
        let key = key.map_or_else(|| Ok(row_key(row)), |key| text(key.data(), "key"));
        let name = key.clone().unwrap_or_else(|_| row_key(row));
        let sample = || {
            let (key, image) = (key?, image.ok_or("it has no image")?);
            let caption = text(caption.ok_or("it has no caption")?.data(), "caption")?;
            keys::problem(&key).map_or(Ok(()), Err)?;
            within("image", image.len(), limits.image_bytes)?;
            within("caption", caption.len(), limits.caption_bytes)?;
            let url = url.map(|url| text(url.data(), "url")).transpose()?;
            // A copy, since the column's bytes are a part of a page, which would live as long.
            Ok(Sample { key, image: bytes::Bytes::copy_from_slice(image.data()), caption, url })
        };
        Ok(sample().map_err(|reason: String| BadSample { key: shown(name), reason }))
    }
}

fn shown(name: String) -> String {
    if name.len() <= 256 { name } else { name.chars().take(64).collect() }
}

fn within(what: &str, length: usize, limit: u64) -> Result<(), String> {
    if length as u64 > limit { Err(format!("its {what} has {length} bytes; the limit is {limit}")) } else { Ok(()) }
}

fn text(bytes: &[u8], what: &str) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|e| format!("its {what} is not UTF-8: {e}"))
}

/// The key of a row in a table that has none.
fn row_key(row: u64) -> String {
    format!("{row:09}")
}

fn footer(origin: &dyn Origin, ending: &Ending) -> Result<bytes::Bytes, String> {
    let range = |start: u64, length: u64| {
        origin.range(start, length as usize).inspect_err(|e| ending.note(e)).map_err(|e| e.to_string())
    };
    let size = origin.size_bytes();
    if size < TAIL_BYTES + MAGIC.len() as u64 {
        return Err(format!("it has {size} bytes; is it a Parquet file?"));
    }
    let tail = range(size - TAIL_BYTES, TAIL_BYTES)?;
    if &tail[4..] != MAGIC {
        return Err("it does not end as a Parquet file; is it cut short, or encrypted?".to_owned());
    }
    let length = u64::from(u32::from_le_bytes(tail[..4].try_into().expect("has eight bytes")));
    if length > MAX_METADATA_BYTES || length > size - TAIL_BYTES - MAGIC.len() as u64 {
        return Err(format!(
            "its footer says that it has {length} bytes; the limit is {MAX_METADATA_BYTES}, or the file"
        ));
    }
    range(size - TAIL_BYTES - length, length)
}

/// Refuses a file that stands for more than it holds: by a dictionary and runs, a few bytes can be millions of samples.
fn check_rows(metadata: &ParquetMetaData, bytes: u64) -> Result<(), String> {
    let rows = |group: &RowGroupMetaData| u64::try_from(group.num_rows()).unwrap_or(0);
    let rows = metadata.row_groups().iter().map(rows).fold(0, u64::saturating_add);
    if rows > bytes {
        return Err(format!("its footer counts {rows} rows in {bytes} bytes; a sample takes more than a byte"));
    }
    Ok(())
}

/// A bug of the Parquet crate must cost rows and not the shard.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the Parquet decoder panicked".to_owned()))
}
