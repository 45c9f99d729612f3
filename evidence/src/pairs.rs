//! Packed training shards: suspects and safe pairs as pixels and captions, with their signals.
//!
//! It must never hold pictures of two sizes, so that a batch is one copy.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{ArrowError, DataType};
use bytes::Bytes;
use parquet::file::reader::ChunkReader;

use crate::columns::{Layout, field, one_value_a_signal, rows_at_once, signal_arrays, signal_values};
use crate::error::EvidenceError;
use crate::streams::{RowBatches, RowWriter, Shape};

const FIXED_COLUMNS: usize = 6;
/// About what a row takes in memory beside its pixels.
const ROW_BYTES: usize = 256;
const CHANNELS: u32 = 3;
/// The largest image side a table may have, in pixels.
pub const MAX_SIDE: u32 = 4_096;

/// As Parquet: shard, key, content, caption, role, pixels, then the signals.
#[derive(Debug, Clone, PartialEq)]
pub struct PairTable {
    /// Height and width of every picture, 1 to [`MAX_SIDE`].
    pub side: u32,
    /// The signals carried along, in the order of each row's values.
    pub names: Vec<String>,
    pub rows: Vec<PairRow>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PairRow {
    pub shard: u32,
    pub key: String,
    /// The content hash of image bytes and caption, in hex.
    pub content: String,
    pub caption: String,
    pub role: PairRole,
    /// `[side, side, 3]`, RGB bytes.
    pub pixels: Vec<u8>,
    pub values: Vec<f32>,
}

/// What a pair was gathered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairRole {
    Suspect,
    Safe,
}

impl PairRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::Safe => "safe",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Suspect, Self::Safe].into_iter().find(|role| role.as_str() == text)
    }
}

fn layout(pixel_bytes: i32) -> Layout {
    Layout {
        table: "pairs",
        fixed: vec![
            field("shard", DataType::UInt32),
            field("key", DataType::Utf8),
            field("content", DataType::Utf8),
            field("caption", DataType::Utf8),
            field("role", DataType::Utf8),
            field("pixels", DataType::FixedSizeBinary(pixel_bytes)),
        ],
    }
}

fn row_error(row: usize, problem: String) -> EvidenceError {
    EvidenceError::Row { table: "pairs", row, problem }
}

impl PairTable {
    /// Errors: a side out of range; a row with other pixels than `side * side * 3`, or without one
    /// value a signal; an empty, repeated or taken name.
    pub fn to_parquet(&self) -> Result<Bytes, EvidenceError> {
        let pixel_bytes = pixel_bytes(self.side)?;
        let signals = self.names.len();
        for (at, row) in self.rows.iter().enumerate() {
            check(row, pixel_bytes, signals).map_err(|problem| row_error(at, problem))?;
        }
        layout(pixel_bytes as i32)
            .write(&self.names, &self.rows, pixel_bytes + ROW_BYTES, |rows| arrays(rows, signals, pixel_bytes as i32))
    }

    /// A table that is written as its rows come. Errors: a side out of range; an empty, repeated or taken name; the
    /// sink fails.
    pub fn writer<W: Write + Send>(
        side: u32,
        names: &[String],
        sink: W,
    ) -> Result<RowWriter<PairRow, W>, EvidenceError> {
        let (pixel_bytes, signals) = (pixel_bytes(side)?, names.len());
        let layout = layout(pixel_bytes as i32);
        let shape = Shape {
            table: layout.table,
            at_once: rows_at_once(pixel_bytes + ROW_BYTES),
            check: Box::new(move |row: &PairRow| check(row, pixel_bytes, signals)),
            arrays: Box::new(move |rows| arrays(rows, signals, pixel_bytes as i32)),
        };
        Ok(RowWriter::new(layout.writer(names, sink)?, shape))
    }

    /// A table's side, and its rows a batch at a time. Errors: as of [`PairTable::from_parquet`].
    pub fn batches<R: ChunkReader + 'static>(source: R) -> Result<(u32, RowBatches<PairRow>), EvidenceError> {
        let layout = layout(0);
        let at_once = |pixel_bytes| rows_at_once(pixel_bytes + ROW_BYTES);
        let (names, pixel_bytes, batches) = layout.batches(source, at_once)?;
        let rows = RowBatches { table: layout.table, names, batches, decode: rows, read: 0 };
        Ok((side_of(pixel_bytes)?, rows))
    }

    /// Errors: not Parquet, other columns than the expected, pixels that are no square, or an unknown
    /// role. The side is what the pixel column's width says.
    pub fn from_parquet(bytes: Bytes) -> Result<Self, EvidenceError> {
        let columns = layout(0).read(bytes)?;
        let side = side_of(columns.pixel_bytes)?;
        let mut rows = Vec::new();
        for batch in &columns.batches {
            for at in 0..batch.num_rows() {
                rows.push(row(batch, at).map_err(|problem| row_error(rows.len(), problem))?);
            }
        }
        Ok(Self { side, names: columns.names, rows })
    }

    /// The rows gathered as `role`, in order.
    pub fn with_role(&self, role: PairRole) -> impl Iterator<Item = &PairRow> {
        self.rows.iter().filter(move |row| row.role == role)
    }
}

fn pixel_bytes(side: u32) -> Result<usize, EvidenceError> {
    if (1..=MAX_SIDE).contains(&side) {
        Ok((side * side * CHANNELS) as usize)
    } else {
        Err(row_error(0, format!("side {side} is not 1 to {MAX_SIDE}")))
    }
}

fn check(row: &PairRow, pixel_bytes: usize, signals: usize) -> Result<(), String> {
    match row.pixels.len() {
        found if found == pixel_bytes => one_value_a_signal(&row.values, signals),
        found => Err(format!("{found} bytes of pixels, expected {pixel_bytes}")),
    }
}

fn rows(batch: &RecordBatch) -> Result<Vec<PairRow>, String> {
    (0..batch.num_rows()).map(|at| row(batch, at)).collect()
}

fn side_of(pixel_bytes: i32) -> Result<u32, EvidenceError> {
    let pixels = u32::try_from(pixel_bytes).unwrap_or(0) / CHANNELS;
    let side = pixels.isqrt();
    if side * side * CHANNELS == pixel_bytes.unsigned_abs() && (1..=MAX_SIDE).contains(&side) {
        Ok(side)
    } else {
        Err(row_error(0, format!("pixels of {pixel_bytes} bytes are not side * side * {CHANNELS}")))
    }
}

fn arrays(rows: &[PairRow], signals: usize, pixel_bytes: i32) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut pixels = FixedSizeBinaryBuilder::with_capacity(rows.len(), pixel_bytes);
    for row in rows {
        pixels.append_value(&row.pixels)?;
    }
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.shard))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.content))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.caption))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.role.as_str()))),
        Arc::new(pixels.finish()),
    ];
    arrays.extend(signal_arrays(signals, rows.iter().map(|row| &row.values)));
    Ok(arrays)
}

fn row(batch: &RecordBatch, row: usize) -> Result<PairRow, String> {
    let text = |column: usize| batch.column(column).as_string::<i32>().value(row);
    Ok(PairRow {
        shard: batch.column(0).as_primitive::<UInt32Type>().value(row),
        key: text(1).to_owned(),
        content: text(2).to_owned(),
        caption: text(3).to_owned(),
        role: PairRole::parse(text(4)).ok_or_else(|| format!("role {:?} is not suspect or safe", text(4)))?,
        pixels: batch.column(5).as_fixed_size_binary().value(row).to_vec(),
        values: signal_values(batch, FIXED_COLUMNS, row),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(side: u32) -> PairTable {
        let row = |n: u32| PairRow {
            shard: n,
            key: format!("a/{n}"),
            content: format!("{n:032x}"),
            caption: "a coat".to_owned(),
            role: if n.is_multiple_of(3) { PairRole::Suspect } else { PairRole::Safe },
            pixels: (0..side * side * 3).map(|byte| (byte * 7 + n) as u8).collect(),
            values: vec![n as f32],
        };
        PairTable { side, names: vec!["suspicion".into()], rows: (0..9_000).map(row).collect() }
    }

    #[test]
    fn a_table_comes_back() {
        let table = table(5);
        let back = PairTable::from_parquet(table.to_parquet().expect("writes")).expect("reads");
        assert_eq!(back, table);
        assert_eq!(back.with_role(PairRole::Suspect).count(), 3_000);
    }

    #[test]
    fn an_empty_table_keeps_its_side() {
        let table = PairTable { side: 28, names: vec![], rows: vec![] };
        assert_eq!(PairTable::from_parquet(table.to_parquet().expect("writes")).expect("reads"), table);
    }

    #[test]
    fn pixels_must_fit_the_side() {
        let mut wrong = table(4);
        wrong.rows[11].pixels.pop();
        let error = wrong.to_parquet().expect_err("is refused").to_string();
        assert!(error.contains("row 11: 47 bytes of pixels, expected 48"), "{error}");
        assert!(PairTable { side: 0, names: vec![], rows: vec![] }.to_parquet().is_err());
        assert!(side_of(48).is_ok() && side_of(49).is_err() && side_of(0).is_err() && side_of(i32::MAX).is_err());
    }
}
