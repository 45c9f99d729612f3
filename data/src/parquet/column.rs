//! One column chunk, a value at a time.
//!
//! It must never read two values at once: a dictionary's single value may be repeated without end.

use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::metadata::ColumnChunkMetaData;

use super::pages::Pages;
use super::window::Window;

pub(super) struct Column {
    reader: ColumnReaderImpl<ByteArrayType>,
    levels: Vec<i16>,
    values: Vec<ByteArray>,
}

impl Column {
    pub fn open(window: Window, chunk: &ColumnChunkMetaData) -> Result<Self, String> {
        let pages = Pages::open(window, chunk)?;
        let reader = ColumnReaderImpl::new(chunk.column_descr_ptr(), Box::new(pages));
        Ok(Self { reader, levels: Vec::new(), values: Vec::new() })
    }

    /// The next value, `None` where it is null.
    pub fn next(&mut self) -> Result<Option<ByteArray>, String> {
        self.levels.clear();
        self.values.clear();
        let read = self.reader.read_records(1, Some(&mut self.levels), None, &mut self.values);
        match read.map_err(|e| e.to_string())? {
            (0, _, _) => Err("a column has fewer values than its row group has rows".to_owned()),
            _ => Ok(self.values.pop()),
        }
    }
}
