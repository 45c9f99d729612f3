//! A manifest (CSV, TSV, JSON lines) as a stream of samples: each row names an image and a caption.
//!
//! It must never hold more than a few images, and never change the order of the rows.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ending::Ending;
use crate::keys;
use crate::location::Location;
use crate::origin::{Origin, Pending, Unfetched};
use crate::sample::{BadSample, Limits, Sample};

mod json;
mod row;
mod table;
pub(crate) use json::json_rows;
use row::Row;
pub(crate) use table::{Separator, table_rows};

/// Images that are fetched at once.
const AHEAD: usize = 8;
/// The longest row, in bytes: a caption at its limit in any escaping, and what stands beside it.
const MAX_ROW_BYTES: usize = 1 << 20;

/// A row, or why it is none.
type RowRead = Result<Row, BadSample>;

pub(crate) struct Manifest<I> {
    rows: I,
    origin: Arc<dyn Origin>,
    limits: Limits,
    ending: Ending,
    queue: VecDeque<Result<Waiting, BadSample>>,
    ended: bool,
}

/// A sample whose image is on its way.
struct Waiting {
    key: String,
    caption: String,
    url: Option<String>,
    image: Pending,
}

impl<I: Iterator<Item = RowRead>> Manifest<I> {
    pub fn new(rows: I, origin: Arc<dyn Origin>, (limits, ending): (Limits, Ending)) -> Self {
        Self { rows, origin, limits, ending, queue: VecDeque::with_capacity(AHEAD), ended: false }
    }

    fn fill(&mut self) {
        while !self.ended && self.queue.len() < AHEAD {
            match self.rows.next() {
                Some(row) => {
                    let waiting = row.and_then(|row| self.start(row));
                    self.queue.push_back(waiting);
                }
                None => self.ended = true,
            }
        }
    }

    fn start(&self, row: Row) -> Result<Waiting, BadSample> {
        let name = row.name();
        let bad = |reason: String| BadSample { key: name.clone(), reason };
        let Row { image, caption, key, url, .. } = row;
        let location = Location::parse(&image.ok_or_else(|| bad("it names no image".to_owned()))?).map_err(&bad)?;
        let caption = caption.ok_or_else(|| bad("it has no caption".to_owned()))?;
        let limit = self.limits.caption_bytes;
        if caption.len() as u64 > limit {
            return Err(bad(format!("its caption has {} bytes; the limit is {limit}", caption.len())));
        }
        let key = key.unwrap_or_else(|| location.to_string());
        if let Some(problem) = keys::problem(&key) {
            return Err(bad(problem));
        }
        let url = url.or_else(|| match &location {
            Location::Url(url) => Some(url.clone()),
            Location::Under(_) => None,
        });
        Ok(Waiting { key, caption, url, image: self.origin.picture(&location, self.limits.image_bytes) })
    }

    fn finish(&mut self, waiting: Waiting) -> Result<Sample, BadSample> {
        let Waiting { key, caption, url, image } = waiting;
        match image() {
            Ok(image) => Ok(Sample { key, image, caption, url }),
            Err(Unfetched::Refused(reason)) => Err(BadSample { key, reason }),
            Err(Unfetched::Lost(error)) => {
                self.ending.note(&error);
                // Without the bytes nothing is known, and the others would likely wait in vain too.
                self.ended = true;
                self.queue.clear();
                Err(BadSample { key, reason: format!("its image cannot be read: {error}") })
            }
        }
    }
}

impl<I: Iterator<Item = RowRead>> Iterator for Manifest<I> {
    type Item = Result<Sample, BadSample>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        let waiting = self.queue.pop_front()?;
        Some(waiting.and_then(|waiting| self.finish(waiting)))
    }
}
