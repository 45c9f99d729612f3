//! Checkpoints in several files: what an index may name, and that its files are what it says.

use lethe_model::Clip;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

use crate::damaged::{assert_refused, with};
use crate::families::Folder;
use crate::reference::tiny;

/// An index in place of the folder's own, whose files are the folder's own.
fn indexed(change: impl FnOnce(&mut Value)) -> lethe_model::Result<Clip> {
    let folder = Folder::named("hugging_face-vit_l_14");
    let mut index: Value = serde_json::from_slice(&folder.bytes()).unwrap();
    change(&mut index);
    load_index(index.to_string().as_bytes())
}

fn load_index(index: &[u8]) -> lethe_model::Result<Clip> {
    let folder = Folder::named("hugging_face-vit_l_14");
    let read = |file: &str| {
        assert!(!file.contains(['/', '\\']) && !file.starts_with('.'), "asked for {file:?}");
        std::fs::read(folder.0.join(file))
    };
    Clip::load_with(&folder.config(), index, read)
}

const SCALE: &str = "logit_scale";

#[test]
fn damaged_indexes_are_refused_in_one_line() {
    for file in [
        "/etc/passwd.safetensors",
        "../model.safetensors",
        "a/b.safetensors",
        "..\\x.safetensors",
        ".safetensors",
        "model.bin",
        "",
        "c:x.safetensors",
    ] {
        let result = indexed(|index| index["weight_map"][SCALE] = json!(file));
        assert_refused(file, result, "expected the name of a .safetensors file beside it");
    }
    let gone = indexed(|index| index["weight_map"][SCALE] = json!("model-00009-of-00006.safetensors"));
    assert_refused("a missing file", gone, "it names model-00009-of-00006.safetensors, which cannot be read");
    let misplaced = indexed(|index| index["weight_map"]["nobody"] = json!("model-00001-of-00006.safetensors"));
    assert_refused(
        "a tensor that is not there",
        misplaced,
        "it places tensor nobody in model-00001-of-00006.safetensors, which lacks it",
    );
    let unplaced = indexed(|index| drop(index["weight_map"].as_object_mut().unwrap().remove(SCALE)));
    assert_refused(
        "a tensor that the index forgot",
        unplaced,
        "has tensor logit_scale, which the index does not place there",
    );
    assert_refused(
        "no map",
        indexed(|index| drop(index.as_object_mut().unwrap().remove("weight_map"))),
        "missing field `weight_map`",
    );
    assert_refused("an empty map", indexed(|index| index["weight_map"] = json!({})), "its weight_map is empty");
    assert_refused("a map of numbers", indexed(|index| index["weight_map"][SCALE] = json!(7)), "invalid type");
    let many = indexed(|index| {
        (0..300).for_each(|i| index["weight_map"][format!("t{i}")] = json!(format!("{i}.safetensors")))
    });
    assert_refused("too many files", many, "more than the 256 allowed");
    let twice = br#"{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}"#;
    assert_refused("a tensor in two files", load_index(twice), "tensor a stands twice in the index");
    assert_refused("half an index", load_index(br#"{"weight_map": {"a""#), "the checkpoint's index is not valid");
    let alone = Clip::load(&tiny(), br#"{"weight_map": {"a": "1.safetensors"}}"#);
    assert_refused("an index where one file is expected", alone, "are not at hand here");
}

#[test]
fn a_broken_file_of_an_index_is_named() {
    let folder = Folder::named("hugging_face-vit_l_14");
    let result = Clip::load_with(&folder.config(), &folder.bytes(), |file| {
        let bytes = std::fs::read(folder.0.join(file))?;
        Ok(if file.contains("00003") { bytes[..100].to_vec() } else { bytes })
    });
    assert_refused("cut short", result, "model-00003-of-00006.safetensors: the checkpoint is truncated");
    // A tensor that lies in two files: the index places it in one of them.
    let result = Clip::load_with(&folder.config(), &folder.bytes(), |file| {
        let bytes = std::fs::read(folder.0.join(file))?;
        let scale = (Dtype::F32, [].as_slice(), [0; 4].as_slice());
        Ok(if file.contains("00003") { with(&bytes, SCALE, scale) } else { bytes })
    });
    assert_refused("a tensor in two files", result, "has tensor logit_scale, which the index does not place there");
}
