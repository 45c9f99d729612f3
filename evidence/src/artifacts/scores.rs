//! scores.parquet: one suspicion for every scored pair of the data set, and where that is wanted its signals, written shard by
//! shard.
//!
//! It must never hold more than one row group: the data set may be web-scale, and so may a shard.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::errors::ParquetError;

use crate::columns::{signal_arrays, signal_values};
use crate::error::EvidenceError;
use crate::table_writer::TableWriter;

const TABLE: &str = "scores";
const FIXED: [&str; 3] = ["shard", "key", "suspicion"];

/// One pair's place in the ranking of all: higher is more suspicious.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    pub shard: u32,
    pub key: String,
    pub suspicion: f64,
    /// In the order of the table's names; empty where there are none.
    pub signals: Vec<f32>,
}

/// As Parquet: shard, key, suspicion, then the signals.
pub struct ScoresWriter<W: Write + Send> {
    writer: TableWriter<W>,
    signals: usize,
}

/// A whole table.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// The signals' names.
    pub names: Vec<String>,
    pub rows: Vec<ScoreRow>,
}

impl<W: Write + Send> ScoresWriter<W> {
    /// Errors: the sink fails.
    pub fn new(sink: W, names: &[String]) -> Result<Self, EvidenceError> {
        let column = |name: &str, data_type| Field::new(name, data_type, false);
        let fixed = FIXED.into_iter().zip([DataType::UInt32, DataType::Utf8, DataType::Float64]);
        let fixed = fixed.map(|(name, data_type)| column(name, data_type));
        let signals = names.iter().map(|name| column(name, DataType::Float32));
        let schema = Arc::new(Schema::new(fixed.chain(signals).collect::<Vec<_>>()));
        Ok(Self { writer: TableWriter::new(TABLE, schema, sink)?, signals: names.len() })
    }

    /// Adds some rows of a shard. Errors: the sink fails.
    pub fn append(&mut self, rows: &[ScoreRow]) -> Result<(), EvidenceError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.shard))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.suspicion))),
        ];
        arrays.extend(signal_arrays(self.signals, rows.iter().map(|row| &row.signals)));
        self.writer.write(Ok(arrays))
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
pub fn read_scores(bytes: bytes::Bytes) -> Result<Scores, EvidenceError> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, UInt32Type};
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(parquet)?;
    let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    if !names.iter().map(String::as_str).take(FIXED.len()).eq(FIXED) {
        let expected = FIXED.join(", ");
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
            signals: signal_values(&batch, FIXED.len(), row),
        }));
    }
    Ok(Scores { names: names[FIXED.len()..].to_vec(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_come_back_in_the_order_they_were_appended() {
        let shard = |shard: u32| -> Vec<ScoreRow> {
            let row = |n: u32| ScoreRow {
                shard,
                key: format!("{shard}/{n}"),
                suspicion: f64::from(n) / 7.0,
                signals: vec![0.5, n as f32],
            };
            (0..100).map(row).collect()
        };
        let names = ["similarity", "dao"].map(str::to_owned);
        let mut writer = ScoresWriter::new(Vec::new(), &names).expect("begins");
        for rows in [shard(1), vec![], shard(0)] {
            rows.chunks(30).for_each(|part| writer.append(part).expect("appends"));
            writer.end_shard().expect("ends");
        }
        let bytes = writer.finish().expect("ends");
        let expected = Scores { names: names.to_vec(), rows: [shard(1), shard(0)].concat() };
        assert_eq!(read_scores(bytes.into()).expect("reads"), expected);
    }

    #[test]
    fn another_table_is_refused() {
        let other = crate::SignalTable::default().to_parquet().expect("writes");
        assert!(read_scores(other).expect_err("is refused").to_string().contains("shard, key, suspicion"));
    }
}
