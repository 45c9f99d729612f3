//! scores.parquet: one suspicion for every scored pair of the data set, written shard by shard.
//!
//! It must never hold more than one shard's rows: the data set may be web-scale.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{Float64Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::error::EvidenceError;

const TABLE: &str = "scores";

/// One pair's place in the ranking of all: higher is more suspicious.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    pub shard: u32,
    pub key: String,
    pub suspicion: f64,
}

/// As Parquet: shard, key, suspicion.
#[derive(Debug)]
pub struct ScoresWriter<W: Write + Send> {
    schema: SchemaRef,
    writer: ArrowWriter<W>,
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
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties)).map_err(parquet)?;
        Ok(Self { schema, writer })
    }

    /// Adds one shard's rows as a row group of their own. Errors: the sink fails.
    pub fn append(&mut self, rows: &[ScoreRow]) -> Result<(), EvidenceError> {
        if rows.is_empty() {
            return Ok(());
        }
        let batch = RecordBatch::try_new(
            self.schema.clone(),
            vec![
                Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.shard))),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
                Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.suspicion))),
            ],
        )
        .map_err(arrow)?;
        self.writer.write(&batch).and_then(|()| self.writer.flush()).map_err(parquet)
    }

    /// Writes the footer and gives the sink back. Errors: the sink fails.
    pub fn finish(self) -> Result<W, EvidenceError> {
        self.writer.into_inner().map_err(parquet)
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
            writer.append(&rows).expect("appends");
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
