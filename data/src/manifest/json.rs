//! JSON lines: one object a line.
//!
//! It must never hold more of a line than the limit: what is longer is passed over and told.

use std::io::BufRead;

use serde::Deserialize;

use super::row::Row;
use super::{MAX_ROW_BYTES, RowRead};
use crate::sample::BadSample;

/// The names of a manifest's columns, in the order of preference; others are ignored.
#[derive(Deserialize)]
struct Object {
    image: Option<String>,
    filepath: Option<String>,
    path: Option<String>,
    url: Option<String>,
    caption: Option<String>,
    text: Option<String>,
    title: Option<String>,
    key: Option<String>,
}

/// The rows of a manifest. Empty lines are none.
pub(crate) fn json_rows(reader: impl BufRead) -> impl Iterator<Item = RowRead> {
    JsonRows { reader, number: 0, ended: false }
}

struct JsonRows<R> {
    reader: R,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Iterator for JsonRows<R> {
    type Item = RowRead;

    fn next(&mut self) -> Option<RowRead> {
        while !self.ended {
            let line = bounded_line(&mut self.reader);
            self.number += 1;
            let bad = |reason: String| BadSample { key: format!("row {}", self.number), reason };
            match line {
                Ok(None) => self.ended = true,
                Ok(Some(Ok(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Ok(line))) => return Some(row(line.trim_ascii(), self.number).map_err(bad)),
                Ok(Some(Err(length))) => {
                    return Some(Err(bad(format!("the line has {length} bytes; the limit is {MAX_ROW_BYTES}"))));
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(bad(format!("the shard from here on cannot be read: {error}"))));
                }
            }
        }
        None
    }
}

fn row(line: &[u8], number: u64) -> Result<Row, String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    // A list of the right length would do for serde.
    if !line.starts_with(b"{") {
        return Err("the line is no JSON object".to_owned());
    }
    let object: Object = serde_json::from_slice(line).map_err(|e| format!("the line is not as expected: {e}"))?;
    Ok(Row {
        number,
        image: object.image.or(object.filepath).or(object.path).or_else(|| object.url.clone()),
        caption: object.caption.or(object.text).or(object.title),
        key: object.key,
        url: object.url,
    })
}

/// The next line, or its length where it is over the limit; `None` at the end.
fn bounded_line(reader: &mut impl BufRead) -> std::io::Result<Option<Result<Vec<u8>, u64>>> {
    let (mut line, mut length) = (Vec::new(), 0_u64);
    loop {
        let held = reader.fill_buf()?;
        let newline = held.iter().position(|byte| *byte == b'\n');
        let taken = newline.unwrap_or(held.len());
        length += taken as u64;
        if length <= MAX_ROW_BYTES as u64 {
            line.extend_from_slice(&held[..taken]);
        }
        let (used, ended) = (newline.map_or(taken, |at| at + 1), held.is_empty());
        reader.consume(used);
        match (newline, ended) {
            (None, true) if length == 0 => return Ok(None),
            (None, false) => {}
            (Some(_), _) | (None, true) => {
                return Ok(Some(if length > MAX_ROW_BYTES as u64 { Err(length) } else { Ok(line) }));
            }
        }
    }
}
