//! The suspects of an audit, as `select` left them: the strongest first.
//!
//! It must never hold more than the capped suspects.

use std::collections::BTreeMap;

use lethe_common::blob::{BlobError, BlobRef, BlobStore};
use lethe_engine::AuditView;
use lethe_evidence::artifacts::{columns, names};
use lethe_evidence::{EvidenceError, SignalRow, SignalTable};

/// Why nobody can look at them.
#[derive(Debug, thiserror::Error)]
pub enum SuspectsError {
    #[error("{0} has no suspects yet: they are known once its phase select is done; `lethe watch {0}` follows it")]
    NotYet(String),
    #[error("the suspects cannot be read: {0}")]
    Blob(#[from] BlobError),
    #[error("the suspects cannot be read: {0}")]
    Table(#[from] EvidenceError),
    #[error("the suspects cannot be read: {0}")]
    Other(String),
}

/// A table of them, found by name or by their number, from 1.
#[derive(Debug)]
pub struct Suspects {
    pub names: Vec<String>,
    pub rows: Vec<SignalRow>,
    places: BTreeMap<(u32, String), usize>,
}

impl Suspects {
    /// Where their table lies; nothing before `select` is done.
    pub fn blob(view: &AuditView) -> Option<&BlobRef> {
        output(view, "select", names::RANKED)
    }

    /// # Errors
    /// There are none yet, or their table cannot be read.
    pub async fn read(view: &AuditView, blobs: &BlobStore) -> Result<Self, SuspectsError> {
        let blob = Self::blob(view).ok_or_else(|| SuspectsError::NotYet(view.audit.to_string()))?;
        let bytes = blobs.get(blob).await?;
        let sorted = move || SignalTable::from_parquet(bytes).map(Self::of);
        let sorted = tokio::task::spawn_blocking(sorted).await;
        Ok(sorted.map_err(|panic| SuspectsError::Other(panic.to_string()))??)
    }

    /// Those without a number for a score come last, as in `suspects.parquet`.
    pub fn of(SignalTable { names, mut rows }: SignalTable) -> Self {
        let at = names.iter().position(|name| name == columns::RANK_SCORE);
        let score = |row: &SignalRow| {
            let score = at.and_then(|at| row.values.get(at)).copied().filter(|score| !score.is_nan());
            score.unwrap_or(f32::NEG_INFINITY)
        };
        rows.sort_by(|a, b| score(b).total_cmp(&score(a)).then_with(|| (a.shard, &a.key).cmp(&(b.shard, &b.key))));
        let places = rows.iter().enumerate().map(|(at, row)| ((row.shard, row.key.clone()), at)).collect();
        Self { names, rows, places }
    }

    pub fn find(&self, shard: u32, key: &str) -> Option<&SignalRow> {
        self.places.get(&(shard, key.to_owned())).map(|&at| &self.rows[at])
    }

    /// A signal's value of one row; nothing where there is no such signal, or no number.
    pub fn value(&self, row: &SignalRow, name: &str) -> Option<f32> {
        let at = self.names.iter().position(|known| known == name)?;
        row.values.get(at).copied().filter(|value| !value.is_nan())
    }
}

/// What a reduce or a gang of an audit gave under a name, once it is done.
pub(super) fn output<'v>(view: &'v AuditView, phase: &str, name: &str) -> Option<&'v BlobRef> {
    let outputs = view.phases.iter().filter(|known| known.name == phase).flat_map(|phase| &phase.outputs);
    outputs.filter(|output| output.name == name).map(|output| &output.blob).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_is_the_first_and_each_is_found_by_its_name() {
        let row = |key: &str, score: f32| SignalRow {
            shard: 1,
            key: key.to_owned(),
            content: String::new(),
            caption: String::new(),
            values: vec![0.5, score],
        };
        let names = ["other", columns::RANK_SCORE].map(str::to_owned).to_vec();
        let rows = vec![row("b", 1.0), row("odd", f32::NAN), row("c", 9.0), row("a", 1.0)];
        let suspects = Suspects::of(SignalTable { names, rows });
        let keys: Vec<&str> = suspects.rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys, ["c", "a", "b", "odd"]);
        assert_eq!(suspects.find(1, "b").map(|row| row.values[1]), Some(1.0));
        assert!(suspects.find(0, "b").is_none());
        assert_eq!(suspects.value(&suspects.rows[3], columns::RANK_SCORE), None);
        assert_eq!(suspects.value(&suspects.rows[0], "other"), Some(0.5));
    }
}
