//! One shard's signals: a row a sample, an f32 column a signal.
//!
//! It must never interpret a signal; orientation and choice are the caller's.

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::file::reader::ChunkReader;

use crate::columns::{Layout, field, one_value_a_signal, rows_at_once, signal_arrays, signal_values};
use crate::error::EvidenceError;
use crate::streams::{RowBatches, RowWriter, Shape};

const FIXED_COLUMNS: usize = 4;
const CAPTION: usize = 3;
/// About what a row takes in memory.
const ROW_BYTES: usize = 256;

/// As Parquet: shard, key, content, caption, then the signals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SignalTable {
    /// The signals' column names, in the order of each row's values.
    pub names: Vec<String>,
    pub rows: Vec<SignalRow>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SignalRow {
    pub shard: u32,
    pub key: String,
    /// The content hash of image bytes and caption, in hex.
    pub content: String,
    pub caption: String,
    pub values: Vec<f32>,
}

/// One signal of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyedScore {
    pub shard: u32,
    pub key: String,
    /// Empty where captions were not asked for.
    pub caption: String,
    pub score: f32,
}

fn layout() -> Layout {
    Layout {
        table: "signals",
        fixed: vec![
            field("shard", DataType::UInt32),
            field("key", DataType::Utf8),
            field("content", DataType::Utf8),
            field("caption", DataType::Utf8),
        ],
    }
}

impl SignalTable {
    /// Errors: a row without one value a signal; an empty, repeated or taken name.
    pub fn to_parquet(&self) -> Result<Bytes, EvidenceError> {
        let layout = layout();
        layout.check_values(&self.names, self.rows.iter().map(|row| &row.values))?;
        layout.write(&self.names, &self.rows, ROW_BYTES, |rows| Ok(arrays(rows, self.names.len())))
    }

    /// A table that is written as its rows come. Errors: an empty, repeated or taken name; the sink fails.
    pub fn writer<W: Write + Send>(names: &[String], sink: W) -> Result<RowWriter<SignalRow, W>, EvidenceError> {
        let (layout, signals) = (layout(), names.len());
        let shape = Shape {
            table: layout.table,
            at_once: rows_at_once(ROW_BYTES),
            check: Box::new(move |row: &SignalRow| one_value_a_signal(&row.values, signals)),
            arrays: Box::new(move |rows| Ok(arrays(rows, signals))),
        };
        Ok(RowWriter::new(layout.writer(names, sink)?, shape))
    }

    /// A table's rows a batch at a time. Errors: not Parquet, or other columns than the expected.
    pub fn batches<R: ChunkReader + 'static>(source: R) -> Result<RowBatches<SignalRow>, EvidenceError> {
        let layout = layout();
        let (names, _, batches) = layout.batches(source, |_| rows_at_once(ROW_BYTES))?;
        Ok(RowBatches { table: layout.table, names, batches, decode: |batch| Ok(rows(batch)), read: 0 })
    }

    /// Errors: not Parquet, or other columns than the expected.
    pub fn from_parquet(bytes: Bytes) -> Result<Self, EvidenceError> {
        let columns = layout().read(bytes)?;
        Ok(Self { names: columns.names, rows: columns.batches.iter().flat_map(rows).collect() })
    }

    /// One signal of every row with the row's name, a batch at a time: what a pass over all samples reads. Errors: not
    /// Parquet, other columns than the expected, or no such signal.
    pub fn scores<R: ChunkReader + 'static>(source: R, name: &str) -> Result<RowBatches<KeyedScore>, EvidenceError> {
        let layout = layout();
        let batches = layout.batches_of(source, &[0, 1], name)?;
        Ok(RowBatches { table: layout.table, names: vec![name.to_owned()], batches, decode: scores, read: 0 })
    }

    /// The same with the captions. Errors: as [`Self::scores`].
    pub fn captioned_scores<R: ChunkReader + 'static>(
        source: R,
        name: &str,
    ) -> Result<RowBatches<KeyedScore>, EvidenceError> {
        let layout = layout();
        let batches = layout.batches_of(source, &[0, 1, CAPTION], name)?;
        Ok(RowBatches { table: layout.table, names: vec![name.to_owned()], batches, decode: scores, read: 0 })
    }

    /// A signal's place in each row's values.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }
}

fn arrays(rows: &[SignalRow], signals: usize) -> Vec<ArrayRef> {
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.shard))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.content))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.caption))),
    ];
    arrays.extend(signal_arrays(signals, rows.iter().map(|row| &row.values)));
    arrays
}

/// The signal stands last, behind the captions where they were asked for.
fn scores(batch: &RecordBatch) -> Result<Vec<KeyedScore>, String> {
    let (score, captions) = (batch.num_columns() - 1, batch.num_columns() > 3);
    let text = |row: usize| batch.column(2).as_string::<i32>().value(row).to_owned();
    let row = |row: usize| KeyedScore {
        shard: batch.column(0).as_primitive::<UInt32Type>().value(row),
        key: batch.column(1).as_string::<i32>().value(row).to_owned(),
        caption: if captions { text(row) } else { String::new() },
        score: batch.column(score).as_primitive::<Float32Type>().value(row),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn rows(batch: &RecordBatch) -> Vec<SignalRow> {
    let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
    let row = |row: usize| SignalRow {
        shard: batch.column(0).as_primitive::<UInt32Type>().value(row),
        key: text(1, row),
        content: text(2, row),
        caption: text(3, row),
        values: signal_values(batch, FIXED_COLUMNS, row),
    };
    (0..batch.num_rows()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SignalTable {
        let row = |n: u32| SignalRow {
            shard: n / 10,
            key: format!("{n:05}"),
            content: format!("{n:032x}"),
            caption: format!("ein Mädchen, {n} \"Äpfel\""),
            values: vec![n as f32, if n == 3 { f32::NAN } else { -0.5 }],
        };
        SignalTable { names: vec!["similarity".into(), "blur_fall".into()], rows: (0..20_000).map(row).collect() }
    }

    #[test]
    fn a_table_comes_back_bit_for_bit() {
        let table = table();
        let bytes = table.to_parquet().expect("writes");
        assert_eq!(bytes, table.to_parquet().expect("writes"), "the same table has the same bytes");
        let back = SignalTable::from_parquet(bytes).expect("reads");
        let bits = |table: &SignalTable| -> Vec<u32> {
            table.rows.iter().flat_map(|row| row.values.iter().map(|value| value.to_bits())).collect()
        };
        assert_eq!(bits(&back), bits(&table));
        assert_eq!(back.rows[19_999], table.rows[19_999]);
        assert_eq!((back.position("blur_fall"), back.position("caption")), (Some(1), None));
    }

    #[test]
    fn one_signal_is_read_alone() {
        let table = table();
        let bytes = table.to_parquet().expect("writes");
        let scores = SignalTable::scores(bytes.clone(), "blur_fall").expect("opens");
        let scores: Vec<KeyedScore> = scores.map(|batch| batch.expect("reads")).collect::<Vec<_>>().concat();
        assert_eq!(scores.len(), table.rows.len());
        let (last, row) = (&scores[19_999], &table.rows[19_999]);
        assert_eq!((last.shard, &last.key, last.score), (row.shard, &row.key, row.values[1]));
        assert!(scores[3].score.is_nan() && scores[3].caption.is_empty());
        let captioned = SignalTable::captioned_scores(bytes.clone(), "blur_fall").expect("opens");
        let captioned: Vec<KeyedScore> = captioned.map(|batch| batch.expect("reads")).collect::<Vec<_>>().concat();
        assert_eq!(captioned[19_999], KeyedScore { caption: row.caption.clone(), ..last.clone() });
        let missing = SignalTable::scores(bytes, "caption").err().expect("is no signal").to_string();
        assert!(missing.contains("caption"), "{missing}");
    }

    #[test]
    fn an_empty_table_keeps_its_names() {
        let table = SignalTable { names: vec!["a".into()], rows: vec![] };
        assert_eq!(SignalTable::from_parquet(table.to_parquet().expect("writes")).expect("reads"), table);
    }

    #[test]
    fn wrong_tables_are_refused_with_a_reason() {
        let bytes = table().to_parquet().expect("writes");
        let cut = SignalTable::from_parquet(bytes.slice(..bytes.len() / 2)).expect_err("is cut");
        assert!(cut.to_string().contains("whole Parquet file"), "{cut}");
        let other = crate::SuspectTable { names: vec![], rows: vec![] }.to_parquet().expect("writes");
        let other = SignalTable::from_parquet(other).expect_err("is another table");
        assert!(other.to_string().contains("column 0 is \"rank\""), "{other}");
    }

    #[test]
    fn names_and_values_must_fit() {
        for names in [vec!["key".to_owned()], vec![String::new()], vec!["a".to_owned(), "a".to_owned()]] {
            let table = SignalTable { names, rows: vec![] };
            assert!(matches!(table.to_parquet(), Err(EvidenceError::Name { .. })), "{:?}", table.names);
        }
        let mut table = table();
        table.rows[7].values.pop();
        assert!(matches!(table.to_parquet(), Err(EvidenceError::Row { row: 7, .. })));
    }
}
