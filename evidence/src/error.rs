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
    /// Whether a table could not be written, such as to a full disk, and its content is not to blame.
    pub fn is_of_storage(&self) -> bool {
        let Self::Parquet { source, .. } = self else { return false };
        match source {
            ParquetError::External(source) => {
                let found = source.downcast_ref::<io::Error>().map(io::Error::kind);
                found.is_some_and(|kind| !matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData))
            }
            // What the sink said to the footer is in the text alone.
            ParquetError::General(message) => message.starts_with("fail to get inner writer"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SignalRow, SignalTable};

    /// A disk with so many bytes left.
    struct Left(usize);

    impl io::Write for Left {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
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
        let write = |row: SignalRow, left: usize| {
            let mut table = SignalTable::writer(&["suspicion".to_owned()], Left(left))?;
            table.push(row)?;
            table.finish().map(drop)
        };
        let needed = (0..).step_by(64).find(|left| write(row(1), *left).is_ok()).expect("fits some disk");
        assert!(needed > 256, "rows and footer are written apart");
        for left in (0..needed).step_by(64) {
            let full = write(row(1), left).expect_err("is full");
            assert!(full.is_of_storage(), "{left} bytes: {full}");
        }
        let unfit = write(row(2), needed).expect_err("has two columns");
        assert!(!unfit.is_of_storage(), "{unfit}");
        let damaged = SignalTable::from_parquet(bytes::Bytes::from_static(b"PAR1")).expect_err("is no table");
        assert!(!damaged.is_of_storage(), "{damaged}");
    }
}
