//! What every training of these tests is: 200 steps in f64 on a few pairs.

use serde_json::Value;

use crate::drill::{Drill, Size};

pub const STEPS: usize = 200;
const SIZE: Size = Size { shards: 2, pairs_per_shard: 40 };

pub struct Recipe {
    spec: Value,
    _drill: Drill,
}

impl Recipe {
    pub fn write() -> Self {
        let drill = Drill::plant(SIZE);
        let path = drill.spec(|spec| {
            spec["audit"].as_table_mut().expect("is a section").insert("plan".to_owned(), "train".into());
            let train: toml::Table = toml::from_str(GANG).expect("is TOML");
            spec.insert("train".to_owned(), train.into());
        });
        let spec = lethe_common::spec::load(&path).expect("is a spec");
        Self { spec: serde_json::to_value(&spec).expect("is JSON"), _drill: drill }
    }

    /// The spec of a training on so many ranks, under an id.
    pub fn spec(&self, audit: &str, ranks: usize) -> Value {
        let mut spec = self.spec.clone();
        spec["audit"]["id"] = audit.into();
        spec["workers"]["count"] = ranks.into();
        spec
    }
}

const GANG: &str = r#"
[gang]
steps = 200
batch = 16
learning_rate = 1e-3
weight_decay = 0.1
warmup_steps = 10
precision = "f64"
"#;
