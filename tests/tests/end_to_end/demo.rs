//! The whole drill on real images: what the method owes, measured against the truth that only a drill has.
//!
//! It catches a stage that passes its input through: no other test judges how well the method works.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lethe_evidence::SuspectTable;
use serde_json::Value;

use crate::audit::binary;

/// What must hold for BadNet with seed 1 (shares; measured values are in FINDINGS.md).
const LEARNED_AT_LEAST: f64 = 0.90;
const EXCESS_AT_MOST: f64 = 0.05;
const ACCURACY_LOSS_AT_MOST: f64 = 0.02;
const AUROC_AT_LEAST: f64 = 0.95;
/// Otsu's split and the second pass find nearly every planted pair here, and little else.
const PRECISION_AND_RECALL_AT_LEAST: f64 = 0.8;
/// How far the stand-in's training moves the suspects' mean similarity, at least; measured: 0.22.
const LEAST_SHIFT: f32 = 0.1;

#[test]
fn a_planted_backdoor_is_found_and_forgotten() {
    let data = std::env::var_os("FASHION_MNIST").map(PathBuf::from);
    let data = data.expect("this test needs Fashion-MNIST: run `make test`, or set FASHION_MNIST to its folder");
    let folder = tempfile::tempdir().expect("makes a folder");
    let out = folder.path().join("out");
    let run = Command::new(binary("lethe"))
        .args(["demo", "--attack", "badnet", "--seed", "1", "--data"])
        .arg(&data)
        .arg("--out")
        .arg(&out)
        .env("LETHE_CACHE", folder.path().join("cache")) // the victim is trained anew, by this build
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");

    let text = std::fs::read(out.join("demo.json")).expect("leaves demo.json");
    let demo: Value = serde_json::from_slice(&text).expect("is JSON");
    let share = |at: &str| demo.pointer(at).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {at} in {demo}"));
    assert!(share("/before/attack_success") >= LEARNED_AT_LEAST, "{demo}");
    assert!(share("/after/attack_success") <= share("/twin/attack_success") + EXCESS_AT_MOST, "{demo}");
    assert!(share("/after/clean_accuracy") >= share("/before/clean_accuracy") - ACCURACY_LOSS_AT_MOST, "{demo}");
    assert!(share("/suspects/auroc") >= AUROC_AT_LEAST, "{demo}");
    for at in ["/suspects/precision", "/suspects/recall"] {
        assert!(share(at) >= PRECISION_AND_RECALL_AT_LEAST, "{at} in {demo}");
    }
    for name in ["report.html", "report.json", "suspects.parquet", "clean.safetensors", "drop-list.txt"] {
        assert!(out.join(name).is_file(), "the demo left no {name}");
    }
    the_stand_in_forgot_the_suspects(&out);
}

/// The ranking must come from the stand-in and, since overfitting is left out by default, the suspect model itself.
fn the_stand_in_forgot_the_suspects(out: &Path) {
    let bytes = std::fs::read(out.join("suspects.parquet")).expect("reads");
    let SuspectTable { names, rows } = SuspectTable::from_parquet(bytes.into()).expect("is a table of suspects");
    let column = |name: &str| {
        let at = names.iter().position(|n| n == name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
        rows.iter().map(move |row| row.values[at]).collect::<Vec<f32>>()
    };
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let [plain, overfitted, stand_in, fall, expected, rank] =
        ["similarity", "similarity_overfitted", "similarity_stand_in", "fall", "expected_fall", "rank_score"]
            .map(column);
    let moved = plain.iter().zip(&overfitted).map(|(plain, same)| (plain - same).abs()).fold(0.0, f32::max);
    assert!(moved < 1e-5, "without steps the overfitted model is the suspect one: {moved}");
    assert!(mean(&stand_in) < mean(&plain) - LEAST_SHIFT, "the stand-in did not forget them");
    for i in 0..fall.len() {
        assert!((overfitted[i] - stand_in[i] - fall[i]).abs() < 1e-6, "a fall is {}", fall[i]);
        // The rest is the first pass's, which adds less than ln(1 + suspects) tenths.
        let first = rank[i] - (fall[i] - expected[i]);
        assert!((-1e-5..1.0).contains(&first), "a rank score is {}, from {} and {}", rank[i], fall[i], expected[i]);
    }
    assert!(mean(&expected) > 0.0, "honest pairs lose nothing under the stand-in?");
}
