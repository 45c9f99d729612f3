//! A log that is read while it is written.
//!
//! It must never show half a line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

pub struct Tail {
    log: BufReader<File>,
    /// The beginning of a line whose end is not written yet.
    begun: String,
}

impl Tail {
    pub fn of(log: &Path) -> Self {
        let file = File::open(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        Self { log: BufReader::new(file), begun: String::new() }
    }

    /// The next line, where there is one by now.
    pub fn next(&mut self) -> Option<String> {
        self.log.read_line(&mut self.begun).expect("reads a log");
        self.begun.ends_with('\n').then(|| std::mem::take(&mut self.begun).trim_end().to_owned())
    }
}
