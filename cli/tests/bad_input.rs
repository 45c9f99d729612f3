//! What the command says to input it cannot use: exit code 2, one clear line, nothing started.

use std::path::Path;
use std::process::{Command, Output};

use lethe_redteam::recipe::MODEL_CONFIG;

fn lethe(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lethe")).current_dir(folder).args(arguments).output().expect("runs")
}

/// The error's text of a call that must end with code 2 and leave nothing behind.
fn refusal(files: &[(&str, &str)], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("makes a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("writes");
    }
    let output = lethe(folder.path(), arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let left = std::fs::read_dir(folder.path()).expect("lists").count();
    assert_eq!(left, files.len(), "something was written");
    text
}

const SPEC: &str = "[audit]\nid = \"a\"\n[model]\ncheckpoint = \"m.safetensors\"\nconfig = \"m.json\"\n[data]\nshards = [\"{0..3}.tar\"]\n";

#[test]
fn a_spec_that_is_not_there() {
    let text = refusal(&[], &["audit", "nowhere.toml"]);
    assert!(text.contains("nowhere.toml"), "{text}");
}

#[test]
fn an_unknown_field_is_named_with_its_line() {
    let text = refusal(&[("a.toml", &format!("{SPEC}[suspect]\nsharre = 0.1\n"))], &["audit", "a.toml"]);
    assert!(text.contains("line 9") && text.contains("sharre"), "{text}");
}

#[test]
fn missing_shards_are_named_before_anything_starts() {
    let text = refusal(&[("a.toml", SPEC)], &["audit", "a.toml", "--dry-run"]);
    assert!(text.contains("0.tar"), "{text}");
}

#[test]
fn an_attack_or_target_that_does_not_exist() {
    let plant = ["redteam", "plant", "--data", ".", "--out", "drill", "--attack"];
    let unknown = refusal(&[], &[&plant[..], &["magic"]].concat());
    assert!(unknown.contains("possible values: badnet, ") && unknown.contains("multi-target"), "{unknown}");
}

#[test]
fn a_checkpoint_that_is_a_pickle_or_cut_short() {
    let arguments = ["eval", "--checkpoint", "m.pt", "--config", "model.json", "--data", "data"];
    let pickle = refusal(&[("m.pt", "PK\u{3}\u{4}data.pkl"), ("model.json", MODEL_CONFIG)], &arguments);
    assert!(pickle.contains("pickle"), "{pickle}");
    let cut = refusal(&[("m.pt", "\u{10}\0\0\0\0\0\0\0{}"), ("model.json", MODEL_CONFIG)], &arguments);
    assert!(cut.contains("m.pt"), "{cut}");
}

#[test]
fn an_audit_of_a_checkpoint_that_does_not_fit_its_config() {
    let spec = SPEC.replace("{0..3}", "0");
    let audit = |checkpoint: &str, config: &str| {
        let files = [("a.toml", spec.as_str()), ("0.tar", ""), ("m.safetensors", checkpoint), ("m.json", config)];
        refusal(&files, &["audit", "a.toml"])
    };
    let empty = "\u{2}\0\0\0\0\0\0\0{}";
    assert!(audit(empty, MODEL_CONFIG).contains("m.safetensors"), "no tensor is there");
    assert!(audit(empty, "{\"embed_dim\": 4}").contains("m.json"), "the config is not whole");
    let pickle = audit("PK\u{3}\u{4}data.pkl", "{}");
    assert!(pickle.contains("m.safetensors: the checkpoint is a pickle"), "{pickle}");
}

#[test]
fn a_checkpoint_in_a_store_is_told_where_it_must_be() {
    let spec = SPEC.replace("m.safetensors", "s3://b/m.safetensors").replace("{0..3}", "0");
    let text = refusal(&[("a.toml", &spec), ("0.tar", ""), ("m.json", MODEL_CONFIG)], &["audit", "a.toml"]);
    assert!(text.contains("model.checkpoint") && text.contains("stores are read for shards alone"), "{text}");
}
