//! Inputs that no audit can use: each ends the command soon, with a code of its own and one line that names it.

use std::path::Path;

use lethe_redteam::recipe::MODEL_CONFIG;

use crate::audit::{Audit, Ended};
use crate::drill::{Drill, Size, set};

const SIZE: Size = Size { shards: 2, pairs_per_shard: 40 };
const FAILED: i32 = 1;
const BAD_INPUT: i32 = 2;

/// What is wrong, how the command must end, and what its error must say.
struct Case {
    name: &'static str,
    edit: fn(&Drill, &mut toml::Table),
    code: i32,
    says: &'static [&'static str],
}

const CASES: [Case; 9] = [
    Case {
        name: "an unknown field",
        edit: |_, spec| set(spec, "reference", "sampels", 200),
        code: BAD_INPUT,
        says: &["audit.toml", "unknown field `sampels`", "expected `samples`"],
    },
    Case {
        name: "no shards",
        edit: |_, spec| set(spec, "data", "shards", toml::Value::Array(Vec::new())),
        code: BAD_INPUT,
        says: &["data.shards", "expected at least one path"],
    },
    Case {
        name: "a batch below the ranks",
        edit: |_, spec| spec["unlearn"]["gang"]["batch"] = 1.into(),
        code: BAD_INPUT,
        says: &["audit.toml", "unlearn.gang.batch", "a global batch of 1 cannot be shared by 2 workers"],
    },
    Case {
        name: "a missing shard",
        edit: |_, spec| set(spec, "data", "shards", vec!["{0..4}.tar"]),
        code: BAD_INPUT,
        says: &["{0..4}.tar", "2.tar", "not a file"],
    },
    Case {
        name: "shards without samples",
        edit: |drill, spec| {
            std::fs::write(drill.path("empty.tar"), [0; 1_024]).expect("writes");
            set(spec, "data", "shards", vec!["empty.tar"]);
        },
        code: FAILED,
        says: &["no shard has a readable pair", "expected shards with an image"],
    },
    Case {
        name: "a missing checkpoint",
        edit: |_, spec| set(spec, "model", "checkpoint", "nowhere.safetensors"),
        code: BAD_INPUT,
        says: &["model.checkpoint", "nowhere.safetensors", "not a file"],
    },
    Case {
        name: "a pickle",
        edit: |drill, spec| {
            std::fs::write(drill.path("victim.pt"), "PK\u{3}\u{4} data.pkl").expect("writes");
            set(spec, "model", "checkpoint", "victim.pt");
        },
        code: BAD_INPUT,
        says: &["victim.pt", "is a pickle", "convert it"],
    },
    Case {
        name: "a truncated checkpoint",
        edit: |drill, spec| {
            let whole = std::fs::read(drill.path("victim.safetensors")).expect("reads");
            std::fs::write(drill.path("cut.safetensors"), &whole[..whole.len() - 1_000]).expect("writes");
            set(spec, "model", "checkpoint", "cut.safetensors");
        },
        code: BAD_INPUT,
        says: &["cut.safetensors", "is truncated", "copy or download it again"],
    },
    Case {
        name: "a config of another model",
        edit: |drill, spec| {
            let wider = MODEL_CONFIG.replace("\"embed_dim\": 64", "\"embed_dim\": 32");
            std::fs::write(drill.path("wider.json"), wider).expect("writes");
            set(spec, "model", "config", "wider.json");
        },
        code: BAD_INPUT,
        says: &["victim.safetensors", "is this the config of this checkpoint"],
    },
];

#[test]
fn unusable_input_is_refused_by_name() {
    let drill = Drill::plant(SIZE);
    let found: Vec<String> = CASES.iter().filter_map(|case| problem(&drill, case)).collect();
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

/// What is wrong with how the command ended.
fn problem(drill: &Drill, case: &Case) -> Option<String> {
    let spec = drill.spec(|spec| (case.edit)(drill, spec));
    let result = case.name.replace(' ', "-");
    let Ended { status, said } = Audit::run(drill, &spec, &result);
    let errors = said.lines().filter(|line| line.starts_with("error:")).count();
    let silent: Vec<_> = case.says.iter().filter(|part| !said.contains(**part)).collect();
    let published = Path::new(&drill.path(&result)).join("report.json").exists();
    let right = status.code() == Some(case.code) && errors == 1 && silent.is_empty() && !published;
    (!right).then(|| format!("{}: {status}, expected {}; unsaid: {silent:?}; it said:\n{said}", case.name, case.code))
}
