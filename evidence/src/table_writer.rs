//! A table on its way to its sink, a batch at a time.
//!
//! It must never hold more than one row group, whatever the number of rows.

use std::io::Write;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::error::EvidenceError;

/// A row group is in memory until it ends, so it ends early.
const ROW_GROUP_ROWS: usize = 16_384;
const ROW_GROUP_BYTES: usize = 32 << 20;

pub(crate) struct TableWriter<W: Write + Send> {
    table: &'static str,
    schema: SchemaRef,
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> TableWriter<W> {
    pub fn new(table: &'static str, schema: SchemaRef, sink: W) -> Result<Self, EvidenceError> {
        let writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties()));
        let writer = writer.map_err(|source| EvidenceError::Parquet { table, source })?;
        Ok(Self { table, schema, writer })
    }

    /// Ends the row group, so that what follows lies apart from it.
    pub fn end_group(&mut self) -> Result<(), EvidenceError> {
        self.writer.flush().map_err(|source| EvidenceError::Parquet { table: self.table, source })
    }

    /// Adds one batch, given as its arrays.
    pub fn write(&mut self, arrays: Result<Vec<ArrayRef>, ArrowError>) -> Result<(), EvidenceError> {
        let table = self.table;
        let batch = arrays.and_then(|arrays| RecordBatch::try_new(self.schema.clone(), arrays));
        let batch = batch.map_err(|source| EvidenceError::Arrow { table, source })?;
        let parquet = |source| EvidenceError::Parquet { table, source };
        self.writer.write(&batch).map_err(parquet)?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES { self.writer.flush().map_err(parquet) } else { Ok(()) }
    }

    /// Writes the footer and gives the sink back.
    pub fn finish(mut self) -> Result<W, EvidenceError> {
        let table = self.table;
        // Rows first, so that a sink that takes no more is told as the I/O error that it is.
        let written = self.writer.flush().and_then(|()| Ok(self.writer.sync()?));
        written.map_err(|source| EvidenceError::Parquet { table, source })?;
        self.writer.into_inner().map_err(|source| EvidenceError::Parquet { table, source })
    }
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_column_dictionary_enabled(ColumnPath::from("pixels"), false)
        .build()
}
