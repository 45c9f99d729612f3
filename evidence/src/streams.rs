//! Tables of rows a batch at a time, out to a sink and in from a file.
//!
//! They must never hold more than a batch of rows and one row group, and write the bytes that the whole table would have.

use std::io::Write;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::error::EvidenceError;
use crate::table_writer::TableWriter;

type Check<R> = Box<dyn Fn(&R) -> Result<(), String> + Send>;
type Arrays<R> = Box<dyn Fn(&[R]) -> Result<Vec<ArrayRef>, ArrowError> + Send>;

/// What a kind of row needs to become a table.
pub(crate) struct Shape<R> {
    pub table: &'static str,
    /// Rows of one batch.
    pub at_once: usize,
    pub check: Check<R>,
    pub arrays: Arrays<R>,
}

/// Rows on their way to a sink.
pub struct RowWriter<R, W: Write + Send> {
    writer: TableWriter<W>,
    shape: Shape<R>,
    waiting: Vec<R>,
    written: usize,
}

impl<R, W: Write + Send> RowWriter<R, W> {
    pub(crate) fn new(writer: TableWriter<W>, shape: Shape<R>) -> Self {
        Self { writer, shape, waiting: Vec::new(), written: 0 }
    }

    /// Errors: a row that does not fit the table; the sink fails.
    pub fn push(&mut self, row: R) -> Result<(), EvidenceError> {
        let (table, at) = (self.shape.table, self.written + self.waiting.len());
        (self.shape.check)(&row).map_err(|problem| EvidenceError::Row { table, row: at, problem })?;
        self.waiting.push(row);
        if self.waiting.len() < self.shape.at_once { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), EvidenceError> {
        self.writer.write((self.shape.arrays)(&self.waiting))?;
        self.written += self.waiting.len();
        self.waiting.clear();
        Ok(())
    }

    /// Ends the table and gives the sink back. Errors: the sink fails.
    pub fn finish(mut self) -> Result<W, EvidenceError> {
        if !self.waiting.is_empty() {
            self.write()?;
        }
        self.writer.finish()
    }
}

type Decode<R> = fn(&RecordBatch) -> Result<Vec<R>, String>;

/// The rows of a table, a batch at a time and in order.
pub struct RowBatches<R> {
    pub(crate) table: &'static str,
    /// The signals' column names, in the order of each row's values.
    pub names: Vec<String>,
    pub(crate) batches: ParquetRecordBatchReader,
    pub(crate) decode: Decode<R>,
    pub(crate) read: usize,
}

impl<R> Iterator for RowBatches<R> {
    type Item = Result<Vec<R>, EvidenceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let table = self.table;
        let batch = self.batches.next()?.map_err(|source| EvidenceError::Arrow { table, source });
        Some(batch.and_then(|batch| {
            let rows = (self.decode)(&batch);
            let rows = rows.map_err(|problem| EvidenceError::Row { table, row: self.read, problem })?;
            self.read += rows.len();
            Ok(rows)
        }))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::{PairRole, PairRow, PairTable, SignalRow, SignalTable};

    fn signal(n: u32) -> SignalRow {
        let (key, content) = (format!("{n:06}"), format!("{:032x}", u64::from(n) * 0x9e37_79b9));
        SignalRow { shard: 3, key, content, caption: format!("a photo of {}", n % 700), values: vec![n as f32, 0.5] }
    }

    fn pair(n: u32) -> PairRow {
        let SignalRow { shard, key, content, caption, .. } = signal(n);
        let role = if n.is_multiple_of(4) { PairRole::Safe } else { PairRole::Suspect };
        let pixels = (0..48).map(|byte| (byte * 5 + n) as u8).collect();
        PairRow { shard, key, content, caption, role, pixels, values: vec![n as f32] }
    }

    /// More than a batch, a page and a row group.
    #[test]
    fn streamed_signals_are_the_table_byte_for_byte() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let table = SignalTable { names: names.clone(), rows: (0..70_000).map(signal).collect() };
        let mut writer = SignalTable::writer(&names, Vec::new()).expect("begins");
        table.rows.iter().cloned().for_each(|row| writer.push(row).expect("fits"));
        let bytes = Bytes::from(writer.finish().expect("ends"));
        assert_eq!(bytes, table.to_parquet().expect("writes"));
        let batches = SignalTable::batches(bytes).expect("opens");
        assert_eq!(batches.names, names);
        let batches: Vec<Vec<SignalRow>> = batches.collect::<Result<_, _>>().expect("reads");
        assert!(batches.iter().all(|batch| batch.len() <= 8_192));
        assert_eq!(batches.concat(), table.rows);
    }

    #[test]
    fn streamed_pairs_are_the_table_byte_for_byte() {
        let names = vec!["a".to_owned()];
        let table = PairTable { side: 4, names: names.clone(), rows: (0..9_000).map(pair).collect() };
        let mut writer = PairTable::writer(4, &names, Vec::new()).expect("begins");
        table.rows.iter().cloned().for_each(|row| writer.push(row).expect("fits"));
        let bytes = Bytes::from(writer.finish().expect("ends"));
        assert_eq!(bytes, table.to_parquet().expect("writes"));
        let (side, batches) = PairTable::batches(bytes).expect("opens");
        let rows: Vec<PairRow> = batches.map(|batch| batch.expect("reads")).collect::<Vec<_>>().concat();
        assert_eq!((side, rows), (4, table.rows));
    }

    #[test]
    fn a_row_that_does_not_fit_is_named() {
        let mut writer = SignalTable::writer(&["a".to_owned()], Vec::new()).expect("begins");
        writer.push(SignalRow { values: vec![0.0], ..signal(0) }).expect("fits");
        let error = writer.push(signal(1)).expect_err("has two values").to_string();
        assert!(error.contains("row 1"), "{error}");
        let mut writer = PairTable::writer(4, &["a".to_owned()], Vec::new()).expect("begins");
        let error = writer.push(PairRow { pixels: vec![0; 47], ..pair(0) }).expect_err("is too small").to_string();
        assert!(error.contains("47 bytes of pixels, expected 48"), "{error}");
    }
}
