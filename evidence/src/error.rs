//! What can be wrong with evidence: a file that is not the table it should be, or numbers that cannot
//! be compared.
//!
//! It must never hold what only a bug in this crate could cause.

use std::io;

use parquet::errors::ParquetError;

#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("{table} table: {source}; is it a whole Parquet file?")]
    Parquet { table: &'static str, source: ParquetError },
    #[error("{table} table: {source}")]
    Arrow { table: &'static str, source: arrow_schema::ArrowError },
    #[error("{table} table: column {position} is {found}, expected {expected}; was it written by another version?")]
    Column { table: &'static str, position: usize, found: String, expected: String },
    #[error("{table} table: row {row}: {problem}")]
    Row { table: &'static str, row: usize, problem: String },
    #[error("{table} table: signal name {name:?} is {problem}; choose another")]
    Name { table: &'static str, name: String, problem: &'static str },
    #[error("reference sample: {problem}; give at least one number and no NaN")]
    Reference { problem: &'static str },
    #[error(
        "digest bucket {index} is not below {limit} with a count of at least 1; was it written by another version?"
    )]
    Bucket { index: u32, limit: u32 },
}

impl EvidenceError {
    /// Whether a file could not be written or read, such as on a full disk, and its content is not to blame.
    pub fn is_of_storage(&self) -> bool {
        let Self::Parquet { source, .. } = self else { return false };
        match source {
            ParquetError::External(source) => {
                let found = source.downcast_ref::<io::Error>().map(io::Error::kind);
                found.is_some_and(|kind| !matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData))
            }
            // What the sink said to the last bytes is in the text alone.
            ParquetError::General(message) => message.starts_with("fail to get inner writer"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SignalRow, SignalTable};

    struct Full;

    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_told_from_a_table_that_does_not_fit() {
        let row = |values: usize| SignalRow {
            shard: 0,
            key: "k".to_owned(),
            content: "0".repeat(32),
            caption: "a bag".to_owned(),
            values: vec![0.5; values],
        };
        let write = |row: SignalRow| {
            let mut table = SignalTable::writer(&["suspicion".to_owned()], Full)?;
            table.push(row)?;
            table.finish().map(drop)
        };
        let (full, unfit) = (write(row(1)).expect_err("is full"), write(row(2)).expect_err("has two columns"));
        assert!(full.is_of_storage() && !unfit.is_of_storage(), "{full}; {unfit}");
        let damaged = SignalTable::from_parquet(bytes::Bytes::from_static(b"PAR1")).expect_err("is no table");
        assert!(!damaged.is_of_storage(), "{damaged}");
    }
}
