//! suspects.parquet: what an operator acts on, most suspicious first.
//!
//! It must never carry ground truth: nothing in it was known before the audit.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::DataType;
use bytes::Bytes;

use crate::columns::{Layout, field, signal_arrays, signal_values};
use crate::error::EvidenceError;

const FIXED_COLUMNS: usize = 10;

/// As Parquet: the columns of [`Suspect`] in order, then the signals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SuspectTable {
    /// The signals carried along, in the order of each row's values.
    pub names: Vec<String>,
    pub rows: Vec<Suspect>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// From 1, the most suspicious.
    pub rank: u32,
    pub key: String,
    /// The shard's place in the audit's listing.
    pub shard: u32,
    /// Where the image came from, empty where the data set does not say.
    pub url: String,
    /// The content hash of image bytes and caption, in hex.
    pub content: String,
    pub caption: String,
    pub suspicion: f32,
    /// Whether unlearning was to forget it.
    pub in_forget_set: bool,
    /// Whether it was kept from unlearning to measure the residual attraction.
    pub held_out: bool,
    /// Whether it belongs on the drop list.
    pub drop: bool,
    pub values: Vec<f32>,
}

fn layout() -> Layout {
    Layout {
        table: "suspects",
        fixed: vec![
            field("rank", DataType::UInt32),
            field("key", DataType::Utf8),
            field("shard", DataType::UInt32),
            field("url", DataType::Utf8),
            field("content", DataType::Utf8),
            field("caption", DataType::Utf8),
            field("suspicion", DataType::Float32),
            field("in_forget_set", DataType::Boolean),
            field("held_out", DataType::Boolean),
            field("drop", DataType::Boolean),
        ],
    }
}

impl SuspectTable {
    /// Errors: a row without one value a signal; an empty, repeated or taken name.
    pub fn to_parquet(&self) -> Result<Bytes, EvidenceError> {
        let layout = layout();
        layout.check_values(&self.names, self.rows.iter().map(|row| &row.values))?;
        layout.write(&self.names, &self.rows, 256, |rows| Ok(arrays(rows, self.names.len())))
    }

    /// Errors: not Parquet, or other columns than the expected.
    pub fn from_parquet(bytes: Bytes) -> Result<Self, EvidenceError> {
        let columns = layout().read(bytes)?;
        Ok(Self { names: columns.names, rows: columns.batches.iter().flat_map(rows).collect() })
    }
}

fn arrays(rows: &[Suspect], signals: usize) -> Vec<ArrayRef> {
    let flags = |flag: fn(&Suspect) -> bool| BooleanArray::from_iter(rows.iter().map(|row| Some(flag(row))));
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.rank))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.shard))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.url))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.content))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.caption))),
        Arc::new(Float32Array::from_iter_values(rows.iter().map(|row| row.suspicion))),
        Arc::new(flags(|row| row.in_forget_set)),
        Arc::new(flags(|row| row.held_out)),
        Arc::new(flags(|row| row.drop)),
    ];
    arrays.extend(signal_arrays(signals, rows.iter().map(|row| &row.values)));
    arrays
}

fn rows(batch: &RecordBatch) -> Vec<Suspect> {
    let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
    let number = |column: usize, row: usize| batch.column(column).as_primitive::<UInt32Type>().value(row);
    let flag = |column: usize, row: usize| batch.column(column).as_boolean().value(row);
    let row = |row: usize| Suspect {
        rank: number(0, row),
        key: text(1, row),
        shard: number(2, row),
        url: text(3, row),
        content: text(4, row),
        caption: text(5, row),
        suspicion: batch.column(6).as_primitive::<Float32Type>().value(row),
        in_forget_set: flag(7, row),
        held_out: flag(8, row),
        drop: flag(9, row),
        values: signal_values(batch, FIXED_COLUMNS, row),
    };
    (0..batch.num_rows()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_comes_back() {
        let row = |n: u32| Suspect {
            rank: n + 1,
            key: format!("k{n}"),
            shard: n * 2,
            url: if n == 0 { String::new() } else { format!("https://example.org/{n}.jpg") },
            content: format!("{n:032x}"),
            caption: "a photo".to_owned(),
            suspicion: 1.0 / (n as f32 + 1.0),
            in_forget_set: n & 1 == 1,
            held_out: n & 2 == 2,
            drop: n & 4 == 4,
            values: vec![0.25, n as f32],
        };
        let table = SuspectTable { names: vec!["gain".into(), "fall".into()], rows: (0..8).map(row).collect() };
        assert_eq!(SuspectTable::from_parquet(table.to_parquet().expect("writes")).expect("reads"), table);
    }
}
