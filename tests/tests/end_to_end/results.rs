//! What an audit left in its result folder, and how two of them are compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lethe_evidence::artifacts::{Report, ScoreRow, decode, read_scores};
use lethe_model::{Clip, ModelConfig};

/// How far any weight may lie from the fault-free one where a gang was restored to its size: not at all.
const RESTORED_GANG_TOLERANCE: f64 = 0.0;

pub struct Results(PathBuf);

impl Results {
    pub fn of(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub fn report(&self) -> Report {
        decode("report.json", &self.bytes("report.json")).expect("is a report")
    }

    pub fn scores(&self) -> Vec<ScoreRow> {
        read_scores(self.bytes("scores.parquet").into()).expect("is a table of scores").rows
    }

    /// Retries of a phase, as the report gives them.
    pub fn retries(&self, phase: &str) -> u64 {
        self.report().phases.iter().find(|p| p.name == phase).expect("the report has the phase").retries
    }

    /// The same scores, suspects and drop list, bit by bit, and the same weights within the tolerance.
    pub fn assert_equal(&self, expected: &Self, fault: &str) {
        self.assert_scores(expected, fault);
        self.assert_weights(expected, RESTORED_GANG_TOLERANCE, fault);
    }

    /// Scores, suspects and drop list, bit by bit.
    pub fn assert_scores(&self, expected: &Self, fault: &str) {
        for (found, wanted) in self.scores().iter().zip(expected.scores()) {
            let same = found.suspicion.to_bits() == wanted.suspicion.to_bits();
            assert!(same && found.key == wanted.key, "{fault}: {found:?}, fault-free {wanted:?}");
        }
        for name in ["scores.parquet", "suspects.parquet", "drop-list.txt"] {
            assert!(self.bytes(name) == expected.bytes(name), "{fault}: {name} differs from the fault-free one");
        }
    }

    /// The weights alone, where the gang had another size.
    pub fn assert_weights(&self, expected: &Self, tolerance: f64, fault: &str) {
        let furthest = furthest_weight(&self.clean(), &expected.clean());
        println!("{fault}: the furthest weight lies {furthest:e} from the fault-free one");
        assert!(furthest <= tolerance, "{fault}: a weight lies {furthest:e} from the fault-free one");
    }

    /// The attempts that left anything of a phase's shards, each `term.counter`, by shard.
    pub fn attempts(&self, phase: &str) -> BTreeMap<String, Vec<String>> {
        let phases = self.report().phases;
        let index = phases.iter().position(|p| p.name == phase).expect("the report has the phase");
        let folder = self.0.join(format!(".lethe/blobs/drill/{index:03}"));
        names(&folder).into_iter().map(|shard| (shard.clone(), names(&folder.join(shard)))).collect()
    }

    pub fn clean(&self) -> Clip {
        let text = String::from_utf8(self.bytes("clean.json")).expect("is text");
        let config = ModelConfig::from_json(&text).expect("is a config");
        Clip::load(&config, &self.bytes("clean.safetensors")).expect("is a checkpoint")
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.0.join(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("the audit left no {}: {e}", path.display()))
    }
}

/// The largest absolute difference of two checkpoints' weights.
pub fn furthest_weight(one: &Clip, other: &Clip) -> f64 {
    (one.flat() - other.flat()).abs().max().double_value(&[])
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> =
        entries.map(|e| e.expect("lists").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
