//! Tables separated by commas or tabs, quoted as pandas reads them, so that open_clip's manifests are read as it reads
//! them.
//!
//! It must never hold more of a row than the limit, and never guess columns: a row of another length is told.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::row::{CAPTION_COLUMNS, IMAGE_COLUMNS, KEY_COLUMN, Row, URL_COLUMN};
use super::{MAX_ROW_BYTES, RowRead};
use crate::sample::BadSample;

const MAX_COLUMNS: usize = 1024;
/// Of a header that lacks something.
const SHOWN_COLUMNS: usize = 20;
const SHOWN_CHARS: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    Tab,
    /// By the first line: a tab where it has one, as in open_clip's tables, whatever they are called; else a comma.
    Told,
}

/// The rows under a header.
///
/// # Errors
/// A header without the columns; what can be read of it is listed.
pub(crate) fn table_rows<R: BufRead>(
    mut reader: R,
    separator: Separator,
) -> Result<impl Iterator<Item = RowRead> + use<R>, String> {
    let delimiter = match separator {
        Separator::Tab => b'\t',
        Separator::Told => told(reader.fill_buf().map_err(|e| e.to_string())?),
    };
    let mut records = Records::new(reader, delimiter);
    let columns = match records.next().map_err(|e| e.to_string())? {
        None => return Err("it is empty; expected a header".to_owned()),
        Some(Err(reason)) => return Err(format!("its header: {reason}")),
        Some(Ok(fields)) => Columns::of(&records, fields)?,
    };
    Ok(TableRows { records, columns, number: 0, ended: false })
}

fn told(start: &[u8]) -> u8 {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.contains(&b'\t') { b'\t' } else { b',' }
}

struct TableRows<R> {
    records: Records<R>,
    columns: Columns,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Iterator for TableRows<R> {
    type Item = RowRead;

    fn next(&mut self) -> Option<RowRead> {
        if self.ended {
            return None;
        }
        self.number += 1;
        let bad = |reason: String| BadSample { key: format!("row {}", self.number), reason };
        match self.records.next() {
            Ok(None) => None,
            Ok(Some(fields)) => {
                Some(fields.and_then(|fields| self.columns.row(&self.records, fields, self.number)).map_err(bad))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(bad(format!("the shard from here on cannot be read: {error}"))))
            }
        }
    }
}

/// Records in buffers that do not grow.
struct Records<R> {
    reader: R,
    core: csv_core::Reader,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: BufRead> Records<R> {
    fn new(reader: R, delimiter: u8) -> Self {
        let core = ReaderBuilder::new().delimiter(delimiter).build();
        Self { reader, core, bytes: vec![0; MAX_ROW_BYTES], ends: vec![0; MAX_COLUMNS] }
    }

    /// The number of the next record's fields, or what is wrong with it; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Result<usize, String>>> {
        let (mut written, mut fields, mut too_long) = (0, 0, None);
        loop {
            let held = self.reader.fill_buf()?;
            let (result, used, out, ended) =
                self.core.read_record(held, &mut self.bytes[written..], &mut self.ends[fields..]);
            self.reader.consume(used);
            (written, fields) = (written + out, fields + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    too_long = Some(format!("the row has more than {MAX_ROW_BYTES} bytes; is a quote left open?"));
                    (written, fields) = (0, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    too_long = Some(format!("the row has more than {MAX_COLUMNS} columns"));
                    (written, fields) = (0, 0);
                }
                ReadRecordResult::Record => return Ok(Some(too_long.map_or(Ok(fields), Err))),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// Of the record that was read last.
    fn field(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    fn text(&self, at: usize) -> Result<String, String> {
        let field = std::str::from_utf8(self.field(at)).map_err(|e| format!("column {} is not UTF-8: {e}", at + 1))?;
        Ok(field.to_owned())
    }
}

/// Where in a row each thing stands.
struct Columns {
    count: usize,
    image: usize,
    caption: usize,
    key: Option<usize>,
    url: Option<usize>,
}

impl Columns {
    fn of<R: BufRead>(records: &Records<R>, fields: usize) -> Result<Self, String> {
        let name =
            |at: usize| String::from_utf8_lossy(records.field(at)).trim_matches(['\u{feff}', ' ']).to_lowercase();
        let names: Vec<String> = (0..fields).map(name).collect();
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let first = |wanted: &[&str]| wanted.iter().find_map(|wanted| place(wanted));
        let (Some(image), Some(caption)) = (first(&IMAGE_COLUMNS), first(&CAPTION_COLUMNS)) else {
            let short = |name: &String| name.chars().take(SHOWN_CHARS).collect::<String>();
            let shown: Vec<String> = names.iter().take(SHOWN_COLUMNS).map(short).collect();
            return Err(format!(
                "its columns are {}; expected one of {} for the image, and one of {} for the caption",
                shown.join(", "),
                IMAGE_COLUMNS.join(", "),
                CAPTION_COLUMNS.join(", ")
            ));
        };
        Ok(Self { count: fields, image, caption, key: place(KEY_COLUMN), url: place(URL_COLUMN) })
    }

    fn row<R: BufRead>(&self, records: &Records<R>, fields: usize, number: u64) -> Result<Row, String> {
        if fields != self.count {
            return Err(format!("the row has {fields} columns; the header has {}", self.count));
        }
        let filled = |text: String| Some(text).filter(|text| !text.is_empty());
        let optional = |at: Option<usize>| at.map(|at| records.text(at)).transpose().map(|text| text.and_then(filled));
        Ok(Row {
            number,
            image: filled(records.text(self.image)?),
            caption: Some(records.text(self.caption)?),
            key: optional(self.key)?,
            url: optional(self.url)?,
        })
    }
}
