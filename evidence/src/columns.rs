//! What the tables share: fixed columns first, then one f32 column a signal, in Parquet bytes.
//!
//! It must never guess: a column of another name, type or place is refused, and so is a null.

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, Float32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use crate::error::EvidenceError;
use crate::table_writer::TableWriter;

/// Bytes of one record batch while writing, so that a batch of pixels stays far from Arrow's 2 GiB.
const BATCH_BYTES: usize = 64 << 20;
const BATCH_ROWS: usize = 8_192;

/// A kind of table: its name in messages and its fixed columns, in order.
pub(crate) struct Layout {
    pub table: &'static str,
    pub fixed: Vec<Field>,
}

/// A table that was read: its signals' names and its rows in batches, every type checked.
pub(crate) struct Columns {
    pub names: Vec<String>,
    /// The width of the fixed-size binary column, 0 where there is none.
    pub pixel_bytes: i32,
    pub batches: Vec<RecordBatch>,
}

/// Rows of one record batch, for rows of about so many bytes.
pub(crate) fn rows_at_once(row_bytes: usize) -> usize {
    (BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS)
}

pub(crate) fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

impl Layout {
    /// Errors: an empty or repeated signal name, or one of a fixed column.
    pub fn schema(&self, names: &[String]) -> Result<SchemaRef, EvidenceError> {
        let mut fields = self.fixed.clone();
        for name in names {
            let problem = match () {
                () if name.is_empty() => Some("empty"),
                () if fields.iter().any(|field| field.name() == name) => Some("taken"),
                () => None,
            };
            if let Some(problem) = problem {
                return Err(EvidenceError::Name { table: self.table, name: name.clone(), problem });
            }
            fields.push(field(name, DataType::Float32));
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Encodes rows chunk by chunk; `columns` gives a chunk's arrays in the schema's order.
    pub fn write<R>(
        &self,
        names: &[String],
        rows: &[R],
        row_bytes: usize,
        columns: impl Fn(&[R]) -> Result<Vec<ArrayRef>, arrow_schema::ArrowError>,
    ) -> Result<Bytes, EvidenceError> {
        let mut writer = self.writer(names, Vec::new())?;
        for chunk in rows.chunks(rows_at_once(row_bytes)) {
            writer.write(columns(chunk))?;
        }
        writer.finish().map(Bytes::from)
    }

    /// A table that is written a batch at a time.
    pub fn writer<W: Write + Send>(&self, names: &[String], sink: W) -> Result<TableWriter<W>, EvidenceError> {
        TableWriter::new(self.table, self.schema(names)?, sink)
    }

    /// Decodes and checks. A fixed-size binary column may have any width.
    pub fn read(&self, bytes: Bytes) -> Result<Columns, EvidenceError> {
        let table = self.table;
        let (names, pixel_bytes, batches) = self.batches(bytes, |_| BATCH_ROWS)?;
        let batches: Vec<RecordBatch> =
            batches.collect::<Result<_, _>>().map_err(|source| EvidenceError::Arrow { table, source })?;
        Ok(Columns { names, pixel_bytes, batches })
    }

    /// Checks, and decodes a batch at a time: the signals' names, the width of the fixed-size binary column, and the
    /// batches, whose rows are as many as that width allows.
    pub fn batches<R: ChunkReader + 'static>(
        &self,
        source: R,
        rows: impl Fn(usize) -> usize,
    ) -> Result<(Vec<String>, i32, ParquetRecordBatchReader), EvidenceError> {
        let parquet = |source| EvidenceError::Parquet { table: self.table, source };
        let reader = ParquetRecordBatchReaderBuilder::try_new(source).map_err(parquet)?;
        let names = self.check(reader.schema())?;
        let pixel_bytes = pixel_bytes(reader.schema());
        let batches = reader.with_batch_size(rows(pixel_bytes.max(0) as usize)).build().map_err(parquet)?;
        Ok((names, pixel_bytes, batches))
    }

    /// As [`batches`](Self::batches), but of some fixed columns and one signal alone, which come in the table's order.
    pub fn batches_of<R: ChunkReader + 'static>(
        &self,
        source: R,
        fixed: &[usize],
        signal: &str,
    ) -> Result<ParquetRecordBatchReader, EvidenceError> {
        let parquet = |source| EvidenceError::Parquet { table: self.table, source };
        let reader = ParquetRecordBatchReaderBuilder::try_new(source).map_err(parquet)?;
        let names = self.check(reader.schema())?;
        let at = names.iter().position(|name| name == signal).ok_or_else(|| EvidenceError::Column {
            table: self.table,
            position: self.fixed.len() + names.len(),
            found: "missing".to_owned(),
            expected: format!("the signal {signal:?}"),
        })?;
        let wanted = fixed.iter().copied().chain([self.fixed.len() + at]);
        let mask = ProjectionMask::leaves(reader.parquet_schema(), wanted);
        reader.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(parquet)
    }

    /// The signals' names, where all columns are what they should be.
    fn check(&self, schema: &Schema) -> Result<Vec<String>, EvidenceError> {
        let mut names = Vec::new();
        for position in 0..schema.fields().len().max(self.fixed.len()) {
            let found = schema.fields().get(position).map(AsRef::as_ref);
            let expected = self.fixed.get(position);
            match (found, expected) {
                (Some(found), Some(expected)) if same(found, expected) => {}
                (Some(found), None) if found.data_type() == &DataType::Float32 && !found.is_nullable() => {
                    names.push(found.name().clone());
                }
                _ => return Err(self.wrong(position, found, expected)),
            }
        }
        self.schema(&names)?;
        Ok(names)
    }

    fn wrong(&self, position: usize, found: Option<&Field>, expected: Option<&Field>) -> EvidenceError {
        let describe = |field: &Field| {
            let nulls = if field.is_nullable() { ", nulls allowed" } else { "" };
            format!("{:?} ({}{nulls})", field.name(), field.data_type())
        };
        EvidenceError::Column {
            table: self.table,
            position,
            found: found.map_or("missing".to_owned(), describe),
            expected: expected.map_or("a signal (Float32)".to_owned(), describe),
        }
    }

    /// That every row has one value a signal; the first that has not is named.
    pub fn check_values<'a>(
        &self,
        names: &[String],
        rows: impl Iterator<Item = &'a Vec<f32>>,
    ) -> Result<(), EvidenceError> {
        let (table, signals) = (self.table, names.len());
        let check = |(row, values): (usize, &Vec<f32>)| {
            one_value_a_signal(values, signals).map_err(|problem| EvidenceError::Row { table, row, problem })
        };
        rows.enumerate().try_for_each(check)
    }
}

/// Where it is not so, what is wrong with the row.
pub(crate) fn one_value_a_signal(values: &[f32], signals: usize) -> Result<(), String> {
    if values.len() == signals { Ok(()) } else { Err(format!("its values are not {signals} as there are signals")) }
}

fn same(found: &Field, expected: &Field) -> bool {
    let types = match (found.data_type(), expected.data_type()) {
        (DataType::FixedSizeBinary(_), DataType::FixedSizeBinary(_)) => true,
        (found, expected) => found == expected,
    };
    types && found.name() == expected.name() && !found.is_nullable()
}

fn pixel_bytes(schema: &Schema) -> i32 {
    let width = |field: &Arc<Field>| match field.data_type() {
        DataType::FixedSizeBinary(width) => Some(*width),
        _ => None,
    };
    schema.fields().iter().find_map(width).unwrap_or(0)
}

/// One f32 array a signal, from each row's values.
pub(crate) fn signal_arrays<'a>(count: usize, rows: impl Iterator<Item = &'a Vec<f32>> + Clone) -> Vec<ArrayRef> {
    let column = |signal: usize| Float32Array::from_iter_values(rows.clone().map(|values| values[signal]));
    (0..count).map(|signal| Arc::new(column(signal)) as ArrayRef).collect()
}

/// One row's values, after `fixed` columns.
pub(crate) fn signal_values(batch: &RecordBatch, fixed: usize, row: usize) -> Vec<f32> {
    batch.columns()[fixed..].iter().map(|column| column.as_primitive::<Float32Type>().value(row)).collect()
}
