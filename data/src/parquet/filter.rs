//! A Parquet file again without some of its rows. A row group that keeps all its rows is copied page for page; of one that
//! loses some, every column is written again.
//!
//! It must never change the schema, the order of rows or a value; nor give a reader a page larger than it reads.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Type, ZstdLevel};
use parquet::column::reader::ColumnReaderImpl;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type, Int64Type, Int96Type,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};

use super::ParquetReader;
use super::pages::Pages;
use super::window::Window;
use crate::ending::Ending;
use crate::error::DataError;
use crate::filter::Meeting;
use crate::keys::Admission;
use crate::origin::Origin;
use crate::sample::Limits;

const PIECE_BYTES: u64 = 1 << 20;

type Output<'o> = &'o mut (dyn Write + Send);

/// # Errors
/// A damaged footer, or a row group that must be written again and cannot be read whole; a failed write.
pub(crate) fn filter(
    origin: &Arc<dyn Origin>,
    (limits, ending): (Limits, &Ending),
    (meeting, output): (&mut Meeting<'_>, Output<'_>),
) -> Result<(), DataError> {
    let layout = |problem: String| DataError::Layout { name: origin.name().to_owned(), problem };
    let mut reader = ParquetReader::open(origin.clone(), limits, ending.clone()).map_err(layout)?;
    let left_out = rows_left_out(&mut reader, meeting);
    // A failed write is told as such, whatever the Parquet crate makes of it.
    let mut watched = Watched { output, failed: None };
    let written = super::guarded(|| write(&reader, &left_out, &mut watched));
    match watched.failed {
        Some(error) => Err(DataError::Write(error)),
        None => written.map_err(layout),
    }
}

/// The numbers of the rows under listed keys.
fn rows_left_out(reader: &mut ParquetReader, meeting: &mut Meeting<'_>) -> BTreeSet<u64> {
    let (mut left_out, mut admission) = (BTreeSet::new(), Admission::default());
    loop {
        let from = reader.row;
        let Some(outcome) = reader.next().and_then(|outcome| admission.admit(outcome)) else { return left_out };
        if meeting.see(&outcome) {
            left_out.extend(from..reader.row);
        }
    }
}

fn write(reader: &ParquetReader, left_out: &BTreeSet<u64>, output: &mut Watched<'_>) -> Result<(), String> {
    let schema = reader.metadata.file_metadata().schema_descr().root_schema_ptr();
    let told = |error: ParquetError| format!("it cannot be written again: {error}");
    let mut writer = SerializedFileWriter::new(output, schema, Arc::new(properties(reader))).map_err(told)?;
    let mut first = 0;
    for (at, group) in reader.metadata.row_groups().iter().enumerate() {
        let rows = first..first + u64::try_from(group.num_rows()).map_err(|_| "a row group of fewer than no rows")?;
        first = rows.end;
        let dropped = left_out.range(rows.clone()).count() as u64;
        if dropped == rows.end - rows.start {
            continue; // nothing is left of it
        }
        let mut columns = writer.next_row_group().map_err(told)?;
        for chunk in group.columns() {
            if dropped == 0 {
                let close = whole(chunk, group);
                columns.append_column(&Chunks(reader.origin.clone(), reader.ending.clone()), close).map_err(told)?;
                continue;
            }
            let mut column =
                columns.next_column().map_err(told)?.ok_or("a row group has more columns than the schema")?;
            copy(reader, chunk, (&rows, left_out), &mut column)
                .map_err(|reason| format!("row group {at} must be written again: {reason}"))?;
            column.close().map_err(told)?;
        }
        columns.close().map_err(told)?;
    }
    writer.close().map(drop).map_err(told)
}

/// As far as they can be, those of the first row group hold for those that are written again.
fn properties(reader: &ParquetReader) -> WriterProperties {
    let file = reader.metadata.file_metadata();
    let mut builder = WriterProperties::builder()
        .set_key_value_metadata(file.key_value_metadata().cloned())
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    if let Some(created_by) = file.created_by() {
        builder = builder.set_created_by(created_by.to_owned());
    }
    for chunk in reader.metadata.row_groups().first().into_iter().flat_map(RowGroupMetaData::columns) {
        let path = chunk.column_path().clone();
        builder = builder
            .set_column_compression(path.clone(), codec(chunk.compression()))
            .set_column_dictionary_enabled(path, chunk.dictionary_page_offset().is_some());
    }
    builder.build()
}

/// This build packs by zstd alone; what another codec had packed, zstd packs.
fn codec(read: Compression) -> Compression {
    match read {
        Compression::UNCOMPRESSED => Compression::UNCOMPRESSED,
        Compression::ZSTD(_)
        | Compression::SNAPPY
        | Compression::GZIP(_)
        | Compression::BROTLI(_)
        | Compression::LZO
        | Compression::LZ4
        | Compression::LZ4_RAW => Compression::ZSTD(ZstdLevel::default()),
    }
}

fn whole(chunk: &ColumnChunkMetaData, group: &RowGroupMetaData) -> ColumnCloseResult {
    ColumnCloseResult {
        bytes_written: chunk.compressed_size().max(0) as u64,
        rows_written: group.num_rows().max(0) as u64,
        metadata: chunk.clone(),
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    }
}

type Rows<'r> = (&'r Range<u64>, &'r BTreeSet<u64>);

/// A column chunk without the values of some rows.
fn copy(
    reader: &ParquetReader,
    chunk: &ColumnChunkMetaData,
    rows: Rows<'_>,
    column: &mut SerializedColumnWriter<'_>,
) -> Result<(), String> {
    let name = chunk.column_path().string();
    if chunk.column_descr().max_rep_level() > 0 {
        return Err(format!("its column {name} holds lists, which are not written again; take the keep list"));
    }
    let pages = Pages::open(Window::new(reader.origin.clone(), reader.ending.clone()), chunk)?;
    let copied = match chunk.column_type() {
        Type::BOOLEAN => values::<BoolType>(pages, chunk, rows, column),
        Type::INT32 => values::<Int32Type>(pages, chunk, rows, column),
        Type::INT64 => values::<Int64Type>(pages, chunk, rows, column),
        Type::INT96 => values::<Int96Type>(pages, chunk, rows, column),
        Type::FLOAT => values::<FloatType>(pages, chunk, rows, column),
        Type::DOUBLE => values::<DoubleType>(pages, chunk, rows, column),
        Type::BYTE_ARRAY => values::<ByteArrayType>(pages, chunk, rows, column),
        Type::FIXED_LEN_BYTE_ARRAY => values::<FixedLenByteArrayType>(pages, chunk, rows, column),
    };
    copied.map_err(|reason| format!("its column {name}: {reason}"))
}

/// A value at a time: a dictionary's single value may be repeated without end, and a page ends where it is full.
fn values<T: DataType>(
    pages: Pages,
    chunk: &ColumnChunkMetaData,
    (rows, left_out): Rows<'_>,
    column: &mut SerializedColumnWriter<'_>,
) -> Result<(), String> {
    let mut reader = ColumnReaderImpl::<T>::new(chunk.column_descr_ptr(), Box::new(pages));
    let optional = chunk.column_descr().max_def_level() > 0;
    let (mut levels, mut held) = (Vec::new(), Vec::new());
    for row in rows.clone() {
        levels.clear();
        held.clear();
        let read = reader.read_records(1, Some(&mut levels), None, &mut held).map_err(|e| e.to_string())?;
        if read.0 == 0 {
            return Err("it has fewer values than its row group has rows".to_owned());
        }
        if !left_out.contains(&row) {
            let levels = optional.then_some(&levels[..]);
            column.typed::<T>().write_batch(&held, levels, None).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// A shard's bytes for a copy of whole column chunks.
struct Chunks(Arc<dyn Origin>, Ending);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.size_bytes()
    }
}

impl ChunkReader for Chunks {
    type T = Pieces;

    fn get_read(&self, start: u64) -> ParquetResult<Pieces> {
        Ok(Pieces { origin: self.0.clone(), ending: self.1.clone(), at: start, held: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        Ok(self.0.range(start, length)?)
    }
}

/// Everything from a place on, a piece at a time.
struct Pieces {
    origin: Arc<dyn Origin>,
    ending: Ending,
    at: u64,
    held: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty() {
            let length = self.origin.size_bytes().saturating_sub(self.at).min(PIECE_BYTES);
            self.held = self.origin.range(self.at, length as usize).inspect_err(|error| self.ending.note(error))?;
            self.at += length;
        }
        let taken = self.held.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&self.held.split_to(taken));
        Ok(taken)
    }
}

/// Keeps the error of a write.
struct Watched<'o> {
    output: Output<'o>,
    failed: Option<io::Error>,
}

impl Watched<'_> {
    fn told<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| {
            let shown = io::Error::new(error.kind(), error.to_string());
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed.get_or_insert(error);
            }
            shown
        })
    }
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes);
        self.told(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.output.flush();
        self.told(flushed)
    }
}
