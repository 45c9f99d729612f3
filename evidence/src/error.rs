//! What can be wrong with evidence: a file that is not the table it should be, or numbers that cannot
//! be compared.
//!
//! It must never hold what only a bug in this crate could cause.

#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("{table} table: {source}; is it a whole Parquet file?")]
    Parquet { table: &'static str, source: parquet::errors::ParquetError },
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
