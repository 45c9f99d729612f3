//! The keep list: every whole sample that is not on the drop list, shard by shard.
//!
//! It must never hold more than one row group: the data set may be web-scale.

use std::io::Write;
use std::sync::Arc;

use arrow_array::StringArray;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::errors::ParquetError;

use crate::error::EvidenceError;
use crate::table_writer::TableWriter;

const TABLE: &str = "keep";
const COLUMNS: [&str; 3] = ["shard", "key", "content"];

/// A sample to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepRow {
    pub key: String,
    /// The content hash of image bytes and caption, in hex.
    pub content: String,
}

/// As Parquet: the shard's name, key, content. The rows of a shard are row groups of their own, so that a job that reads one
/// shard reads its rows alone.
pub struct KeepWriter<W: Write + Send> {
    writer: TableWriter<W>,
}

impl<W: Write + Send> KeepWriter<W> {
    /// Errors: the sink fails.
    pub fn new(sink: W) -> Result<Self, EvidenceError> {
        let fields: Vec<Field> = COLUMNS.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
        Ok(Self { writer: TableWriter::new(TABLE, Arc::new(Schema::new(fields)), sink)? })
    }

    /// Adds some rows of a shard. Errors: the sink fails.
    pub fn append(&mut self, shard: &str, rows: &[KeepRow]) -> Result<(), EvidenceError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.writer.write(Ok(vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|_| shard))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.content))),
        ]))
    }

    /// Ends a shard. Errors: the sink fails.
    pub fn end_shard(&mut self) -> Result<(), EvidenceError> {
        self.writer.end_group()
    }

    /// Writes the footer and gives the sink back. Errors: the sink fails.
    pub fn finish(self) -> Result<W, EvidenceError> {
        self.writer.finish()
    }
}

/// Reads a whole list back, each row with its shard's name: for tools and tests, not for web-scale data.
///
/// # Errors
/// Bytes that are not such a table.
pub fn read_keep(bytes: bytes::Bytes) -> Result<Vec<(String, KeepRow)>, EvidenceError> {
    use arrow_array::cast::AsArray;
    let parquet = |source: ParquetError| EvidenceError::Parquet { table: TABLE, source };
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(parquet)?;
    let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    if names != COLUMNS {
        let expected = COLUMNS.join(", ");
        return Err(EvidenceError::Column { table: TABLE, position: 0, found: names.join(", "), expected });
    }
    let mut rows = Vec::new();
    for batch in builder.build().map_err(parquet)? {
        let batch = batch.map_err(|source: ArrowError| EvidenceError::Arrow { table: TABLE, source })?;
        let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
        rows.extend(
            (0..batch.num_rows()).map(|row| (text(0, row), KeepRow { key: text(1, row), content: text(2, row) })),
        );
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_with_their_shards() {
        let row = |n: u32| KeepRow { key: format!("{n:05}"), content: format!("{n:032x}") };
        let mut writer = KeepWriter::new(Vec::new()).expect("begins");
        for (shard, rows) in [("b.tar", vec![row(1), row(2)]), ("a.tar", vec![]), ("c/0.tar", vec![row(1)])] {
            writer.append(shard, &rows).expect("appends");
            writer.end_shard().expect("ends");
        }
        let read = read_keep(writer.finish().expect("ends").into()).expect("reads");
        let expected = [("b.tar", row(1)), ("b.tar", row(2)), ("c/0.tar", row(1))];
        assert_eq!(read, expected.map(|(shard, row)| (shard.to_owned(), row)));
        let other = crate::SignalTable::default().to_parquet().expect("writes");
        assert!(read_keep(other).expect_err("is refused").to_string().contains("shard, key, content"));
    }
}
