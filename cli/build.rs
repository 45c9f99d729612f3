//! Gives the binary the path of libtorch, so that nobody sets LD_LIBRARY_PATH, and the digests of the code that determines
//! what a drill or an audit comes to.

use std::fs;
use std::path::{Path, PathBuf};

/// What plants and trains a drill's victim, under the workspace.
const VICTIM: &[&str] = &[
    "data/src",
    "model/csrc",
    "model/src",
    "redteam/src",
    "worker/src/programs/captions.rs",
    "worker/src/programs/gang/dataset.rs",
    "worker/src/programs/gang/exchange.rs",
    "worker/src/programs/gang/objective.rs",
    "worker/src/programs/gang/optimizer.rs",
    "worker/src/programs/gang/sampler.rs",
    "worker/src/programs/gang/texts.rs",
    "worker/src/programs/gang/train.rs",
    "worker/src/programs/gang/trainee.rs",
    "worker/src/programs/gang/training.rs",
    "worker/src/programs/gang/vocabulary.rs",
    "worker/src/programs/pack.rs",
    "worker/src/programs/pictures.rs",
];
/// What judges it afterwards.
const JUDGE: &[&str] = &["redteam/src/detection.rs", "redteam/src/judge.rs"];

/// What trains, scores, chooses and judges.
pub const METHOD: &[&str] = &[
    "coordinator/src/plans",
    "coordinator/src/reduce",
    "data/src",
    "evidence/src",
    "model/csrc",
    "model/src",
    "redteam/src",
    "worker/src/programs",
];
/// What only shows or measures: no figure of a cell comes of it.
pub const SHOWN: &[&str] = &[
    "coordinator/src/reduce/deliver.rs",
    "coordinator/src/reduce/fixture.rs",
    "coordinator/src/reduce/histogram.rs",
    "coordinator/src/reduce/marks.rs",
    "coordinator/src/reduce/package.rs",
    "coordinator/src/reduce/publish.rs",
    "coordinator/src/reduce/report.rs",
    "evidence/src/artifacts/keep.rs",
    "evidence/src/artifacts/localize.rs",
    "evidence/src/artifacts/look.rs",
    "evidence/src/artifacts/report.rs",
    "evidence/src/artifacts/train.rs",
    "worker/src/programs/measure",
    "worker/src/programs/measure.rs",
];

/// What decides what is found among suspects. A remedy that does not rest on evidence makes nothing of it.
const FOUND: &[&str] = &[
    "coordinator/src/reduce/confirm.rs",
    "coordinator/src/reduce/ranking.rs",
    "coordinator/src/reduce/regroup.rs",
    "coordinator/src/reduce/select",
    "coordinator/src/reduce/select.rs",
    "coordinator/src/reduce/verdict.rs",
    "evidence/src/artifacts/falls.rs",
    "evidence/src/artifacts/likeness.rs",
    "evidence/src/artifacts/probe.rs",
    "evidence/src/artifacts/select.rs",
    "evidence/src/classes.rs",
    "evidence/src/otsu.rs",
    "evidence/src/shortcut.rs",
    "worker/src/programs/backdoor.rs",
    "worker/src/programs/bystanders.rs",
    "worker/src/programs/gang/overfit.rs",
    "worker/src/programs/gang/stand_in.rs",
    "worker/src/programs/gang/unlearn.rs",
    "worker/src/programs/grafts.rs",
    "worker/src/programs/likeness.rs",
    "worker/src/programs/localize.rs",
    "worker/src/programs/probe.rs",
    "worker/src/programs/rescore.rs",
    "worker/src/programs/weights.rs",
];

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LETHE_RPATH");
    // A release finds libtorch beside itself, wherever it lies.
    let beside =
        std::env::var("LETHE_RPATH").or_else(|_| std::env::var("LIBTORCH").map(|torch| format!("{torch}/lib")));
    if let Ok(folder) = beside {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    println!("cargo:rustc-env=LETHE_VICTIM={}", digest(VICTIM, JUDGE));
    println!("cargo:rustc-env=LETHE_METHOD={}", digest(METHOD, SHOWN));
    println!("cargo:rustc-env=LETHE_PEERS={}", digest(METHOD, &[SHOWN, FOUND].concat()));
}

/// Of the code under these paths, without those.
pub fn digest(paths: &[&str], without: &[&str]) -> String {
    // As it is now: a target folder that clones share has the script of whichever was built first.
    let own = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&own).join("..");
    let mut files = Vec::new();
    for path in paths {
        println!("cargo:rerun-if-changed=../{path}");
        assert!(root.join(path).exists(), "{path} is gone: the digest of the code must follow it");
        collect(&root.join(path), &mut files);
    }
    without.iter().for_each(|path| assert!(root.join(path).exists(), "{path} is gone: the digest must follow it"));
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let name = file.strip_prefix(&root).expect("is under it");
        if without.iter().any(|shown| name.starts_with(shown)) {
            continue;
        }
        hasher.update(name.as_os_str().as_encoded_bytes());
        let text = fs::read_to_string(&file).unwrap_or_default();
        for line in code(&text) {
            hasher.update(line.as_bytes()).update(b"\n");
        }
    }
    hasher.finalize().to_hex()[..12].to_owned()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !path.is_dir() {
        // Configs of models are in the key of what they make.
        if !name.starts_with("tests.") && !name.ends_with("_tests.rs") && !name.ends_with(".json") {
            files.push(path.to_owned());
        }
    } else if name != "tests" {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            collect(&entry.path(), files);
        }
    }
}

/// Without comments, empty lines and the tests at a file's end, none of which changes a result.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_tests = |pair: &[&str]| {
        // Where they are a file of their own, it is named first.
        let of_tests = ["mod tests", "pub mod tests", "#[path = "];
        pair[0] == "#[cfg(test)]" && of_tests.iter().any(|start| pair[1].starts_with(start))
    };
    let end = lines.windows(2).position(is_tests).unwrap_or(lines.len());
    lines.into_iter().take(end).filter(|line| !line.starts_with("//"))
}
