//! scores.parquet: one suspicion for every scored pair of the data set, written shard by shard.
//!
//! It must never hold more than one row group: the data set may be web-scale, and so may a shard.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{Float64Array, StringArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::errors::ParquetError;

use crate::error::EvidenceError;
use crate::table_writer::TableWriter;

const TABLE: &str = "scores";

/// One pair's place in the ranking of all: higher is more suspicious.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    pub shard: u32,
    pub key: String,
    pub suspicion: f64,
}

/// As Parquet: shard, key, suspicion.
pub struct ScoresWriter<W: Write + Send> {
    writer: TableWriter<W>,
}

impl<W: Write + Send> ScoresWriter<W> {
    /// Errors: the sink fails.
    pub fn new(sink: W) -> Result<Self, EvidenceError> {
        let column = |name: &str, data_type| Field::new(name, data_type, false);
        let schema = Arc::new(Schema::new(vec![
            column("shard", DataType::UInt32),
            column("key", DataType::Utf8),
            column("suspicion", DataType::Float64),
        ]));
        Ok(Self { writer: TableWriter::new(TABLE, schema, sink)? })
    }

    /// Adds some rows of a shard. Errors: the sink fails.
    pub fn append(&mut self, rows: &[ScoreRow]) -> Result<(), EvidenceError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.writer.write(Ok(vec![
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.shard))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.suspicion))),
        ]))
    }

    /// Ends a shard, whose rows are row groups of their own. Errors: the sink fails.
    pub fn end_shard(&mut self) -> Result<(), EvidenceError> {
        self.writer.end_group()
    }

    /// Writes the footer and gives the sink back. Errors: the sink fails.
    pub fn finish(self) -> Result<W, EvidenceError> {
        self.writer.finish()
    }
}

fn parquet(source: ParquetError) -> EvidenceError {
    EvidenceError::Parquet { table: TABLE, source }
}

fn arrow(source: ArrowError) -> EvidenceError {
    EvidenceError::Arrow { table: TABLE, source }
}

/// Reads a whole table back: for tools and tests, not for web-scale data.
///
/// # Errors
/// Bytes that are not such a table.
pub fn read_scores(bytes: bytes::Bytes) -> Result<Vec<ScoreRow>, EvidenceError> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, UInt32Type};
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(parquet)?;
    let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    if names != ["shard", "key", "suspicion"] {
        let expected = "shard, key, suspicion".to_owned();
        return Err(EvidenceError::Column { table: TABLE, position: 0, found: names.join(", "), expected });
    }
    let mut rows = Vec::new();
    for batch in builder.build().map_err(parquet)? {
        let batch = batch.map_err(arrow)?;
        let shard = batch.column(0).as_primitive::<UInt32Type>();
        let key = batch.column(1).as_string::<i32>();
        let suspicion = batch.column(2).as_primitive::<Float64Type>();
        rows.extend((0..batch.num_rows()).map(|row| ScoreRow {
            shard: shard.value(row),
            key: key.value(row).to_owned(),
            suspicion: suspicion.value(row),
        }));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_come_back_in_the_order_they_were_appended() {
        let shard = |shard: u32| -> Vec<ScoreRow> {
            let row = |n: u32| ScoreRow { shard, key: format!("{shard}/{n}"), suspicion: f64::from(n) / 7.0 };
            (0..100).map(row).collect()
        };
        let mut writer = ScoresWriter::new(Vec::new()).expect("begins");
        for rows in [shard(1), vec![], shard(0)] {
            rows.chunks(30).for_each(|part| writer.append(part).expect("appends"));
            writer.end_shard().expect("ends");
        }
        let bytes = writer.finish().expect("ends");
        assert_eq!(read_scores(bytes.into()).expect("reads"), [shard(1), shard(0)].concat());
    }

    #[test]
    fn another_table_is_refused() {
        let other = crate::SignalTable::default().to_parquet().expect("writes");
        assert!(read_scores(other).expect_err("is refused").to_string().contains("shard, key, suspicion"));
    }
}
