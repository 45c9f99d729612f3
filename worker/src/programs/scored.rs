//! What scoring a shard leaves: a row a pair, written as it is scored, and the digest of all rows.
//!
//! It must never keep a row: what stays in memory are counts by value and by word.

use std::fs::File;

use bytes::Bytes;
use lethe_common::blob::NamedBlob;
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{self, BadSamples, SampleCounts, ShardDigest, columns, names};
use lethe_evidence::words::add_words;
use lethe_evidence::{RowWriter, ScoreDigest, SignalRow, SignalTable, WordCounts};
use tempfile::NamedTempFile;

use super::fault::{fatal, table_fault};
use crate::task::{TaskContext, writer_of};

pub struct Scored<'a> {
    ctx: &'a TaskContext<'a>,
    file: NamedTempFile,
    table: RowWriter<SignalRow, File>,
    /// A column each.
    digests: Vec<(String, ScoreDigest)>,
    words: WordCounts,
}

impl<'a> Scored<'a> {
    /// A table with these columns.
    pub fn begin(ctx: &'a TaskContext<'a>, columns: Vec<String>) -> Result<Self, Fault> {
        let file = ctx.scratch_file()?;
        let table = SignalTable::writer(&columns, writer_of(&file)?).map_err(table_fault)?;
        let digests = columns.into_iter().map(|name| (name, ScoreDigest::default())).collect();
        Ok(Self { ctx, file, table, digests, words: WordCounts::default() })
    }

    pub fn push(&mut self, row: SignalRow) -> Result<(), Fault> {
        self.digests.iter_mut().zip(&row.values).for_each(|((_, digest), value)| digest.add(*value));
        add_words(&mut self.words, &row.caption);
        self.table.push(row).map_err(table_fault)
    }

    /// The outputs: signals, then digest.
    pub fn finish(self, counts: SampleCounts, bad: BadSamples) -> Result<Vec<NamedBlob>, Fault> {
        self.table.finish().map_err(table_fault)?;
        let mut digest = ShardDigest { counts, words: self.words, bad, ..ShardDigest::default() };
        for (name, column) in self.digests {
            match name.as_str() {
                columns::SUSPICION => digest.suspicion = column,
                _ => drop(digest.signals.insert(name, column)),
            }
        }
        let digest = Bytes::from(artifacts::encode(names::DIGEST, &digest).map_err(fatal)?);
        Ok(vec![self.ctx.put_file(names::SIGNALS, self.file)?, self.ctx.put(names::DIGEST, digest)?])
    }
}
