//! Damaged checkpoints: each is refused with one clear line, without a panic and without believing a length.

use std::collections::BTreeMap;

use lethe_model::{Clip, ModelError};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::families::Folder;
use crate::reference::tiny;

/// A safetensors file of this header, with as many data bytes of zeros.
fn file(header: &str, data_bytes: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data_bytes, 0);
    bytes
}

fn whole() -> Vec<u8> {
    Clip::init(&tiny(), 3).unwrap().save().unwrap()
}

/// The tiny checkpoint with its header changed and its data as they are.
fn with_header(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let bytes = whole();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let mut changed = file(&header.to_string(), 0);
    changed.extend(&bytes[8 + length..]);
    changed
}

/// A checkpoint with one tensor replaced, or one more.
pub fn with(bytes: &[u8], name: &str, (dtype, shape, data): (Dtype, &[usize], &[u8])) -> Vec<u8> {
    let mut tensors: BTreeMap<String, TensorView<'_>> =
        SafeTensors::deserialize(bytes).unwrap().tensors().into_iter().collect();
    tensors.insert(name.to_owned(), TensorView::new(dtype, shape.to_vec(), data).unwrap());
    safetensors::serialize(tensors, None).unwrap()
}

fn without(bytes: &[u8], name: &str) -> Vec<u8> {
    let mut tensors = SafeTensors::deserialize(bytes).unwrap().tensors();
    tensors.retain(|(have, _)| have != name);
    safetensors::serialize(tensors, None).unwrap()
}

fn set(header: &mut Value, name: &str, key: &str, value: Value) {
    header[name][key] = value;
}

/// Files that are broken by themselves, and what the line says.
fn broken_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = whole();
    let mut lying = good.clone();
    lying[..8].copy_from_slice(&(good.len() as u64 * 2).to_le_bytes());
    let mut huge = good.clone();
    huge[..8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    let mut one_more = good.clone();
    one_more.push(0);
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    let mut not_utf8 = file(r#"{"aaa":1}"#, 0);
    not_utf8[11] = 0xff;
    let twice = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let scale = "logit_scale";
    vec![
        ("nothing", vec![], "does not begin with a header's length"),
        ("seven bytes", good[..7].to_vec(), "does not begin with a header's length"),
        ("only the length", good[..8].to_vec(), "does not begin with a header's length"),
        ("a header cut off", good[..60].to_vec(), "truncated: it has 60 bytes"),
        ("data cut off", good[..good.len() - 1].to_vec(), "copy or download it again"),
        ("one byte too many", one_more, "where its header knows of"),
        ("a header longer than the file", lying, "truncated"),
        ("a header of 4 EiB", huge, "its header claims 4611686018427387904 bytes"),
        ("a header of spaces", file(&format!("{{{}", " ".repeat(9 << 20)), 0), "more than the 8388608 allowed"),
        ("a header that is a list", [vec![3, 0, 0, 0, 0, 0, 0, 0], b"[1]".to_vec()].concat(), "does not begin"),
        ("a header of half a JSON", file(r#"{"a": {"dtype""#, 0), "no JSON"),
        ("a header of brackets in brackets", file(&deep, 0), "no JSON"),
        ("a header that is not UTF-8", not_utf8, "no JSON"),
        ("an entry that is a number", file(r#"{"a": 7}"#, 0), "entry \"a\" is broken"),
        ("an entry without a shape", file(r#"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#, 4), "missing field `shape`"),
        ("a negative side", file(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4), "entry \"a\""),
        ("a name that stands twice", file(twice, 4), "tensor a stands twice in the header"),
        (
            "a dtype that nobody knows",
            with_header(|h| set(h, scale, "dtype", json!("Q4"))),
            "tensor logit_scale has dtype Q4",
        ),
        (
            "a shape larger than any memory",
            with_header(|h| set(h, scale, "shape", json!([u64::MAX, u64::MAX]))),
            "larger than any memory",
        ),
        (
            "a shape whose size a side of 0 hides",
            file(r#"{"a":{"dtype":"F32","shape":[4611686018427387904,0,3,3],"data_offsets":[0,0]}}"#, 0),
            "larger than any memory",
        ),
        (
            "a shape larger than its bytes",
            with_header(|h| set(h, scale, "shape", json!([1_u64 << 40]))),
            "tensor logit_scale claims the bytes",
        ),
        (
            "offsets that go backwards",
            with_header(|h| set(h, scale, "data_offsets", json!([8, 4]))),
            "tensor logit_scale claims the bytes 8 to 4",
        ),
        (
            "offsets at the end of all numbers",
            with_header(|h| set(h, scale, "data_offsets", json!([u64::MAX - 4, u64::MAX]))),
            "truncated",
        ),
        (
            "overlapping offsets",
            with_header(|h| h["logit_scale"]["data_offsets"] = h["ln_final.bias"]["data_offsets"].clone()),
            "claims the bytes",
        ),
        (
            "two tensors in the same bytes",
            file(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                4,
            ),
            "the tensor before it ends at 4",
        ),
        (
            "a gap between tensors",
            file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8),
            "the tensor before it ends at 0",
        ),
        ("a web page", b"<!DOCTYPE html><html><body>404</body></html>".to_vec(), "not a safetensors file"),
    ]
}

/// Whole files that are not the checkpoint of this config.
fn unfit_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = whole();
    let scale = |dtype: Dtype, data: &[u8]| with(&good, "logit_scale", (dtype, &[], data));
    let more = |name: &str| with(&good, name, (Dtype::F32, &[], &[0; 4]));
    let square = with(&good, "ln_final.bias", (Dtype::F32, &[2, 2], &[0; 16]));
    vec![
        ("no tensor at all", file("{}", 0), "the checkpoint lacks 38 of 38 tensors"),
        (
            "a missing tensor",
            without(&good, "visual.proj"),
            "lacks 1 of 38 tensors, first \"visual.proj\" of shape [4, 4]",
        ),
        ("integers for weights", scale(Dtype::I64, &[0; 8]), "has dtype I64, expected F32"),
        (
            "another shape",
            square,
            "tensor ln_final.bias has shape [2, 2], the config wants [4]; is this the config of this checkpoint, whose tensors are those of a ViT with image_size 4",
        ),
        ("a NaN", scale(Dtype::F32, &f32::NAN.to_le_bytes()), "tensor logit_scale holds NaN or infinity"),
        ("a number beyond f32", scale(Dtype::F64, &1e300_f64.to_le_bytes()), "holds NaN or infinity"),
        ("an infinity of 16 bits", scale(Dtype::F16, &[0, 0x7c]), "holds NaN or infinity"),
        ("a tensor too many", more("visual.trunk.x"), "timm"),
        ("a stranger", more("adapter.weight"), "first \"adapter.weight\"; is this the config"),
    ]
}

pub fn assert_refused(what: &str, result: lethe_model::Result<Clip>, expected: &str) {
    let message = result.expect_err(what).to_string();
    println!("{what}: {message}");
    assert!(message.contains(expected), "{what}: {message}");
    assert_eq!(message.lines().count(), 1, "{what}: {message}");
    assert!(message.len() < 600, "{what} takes {} bytes", message.len());
}

#[test]
fn broken_and_unfit_files_are_refused_in_one_line() {
    let all: Vec<_> = broken_files().into_iter().chain(unfit_files()).collect();
    assert!(all.len() >= 30);
    for (what, bytes, expected) in all {
        assert_refused(what, Clip::load(&tiny(), &bytes), expected);
    }
}

#[test]
fn no_cut_and_no_flipped_byte_of_a_header_makes_it_panic() {
    let good = whole();
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for cut in 0..header {
        assert!(Clip::load(&tiny(), &good[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..header {
        for flip in [0x01, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            let _ = Clip::load(&tiny(), &bytes);
        }
    }
}

/// A config from elsewhere, with the checkpoint it does not belong to.
#[test]
fn configs_that_contradict_the_tensors_are_refused() {
    let mut larger = Folder::named("openai-vit_b_32").config();
    larger.quick_gelu = false;
    let openai = Folder::named("openai-vit_b_32").bytes();
    assert_refused("the plain GELU", Clip::load(&larger, &openai), "the config says quick_gelu false; set it to true");

    let other = with(&openai, "input_resolution", (Dtype::I64, &[], &336_i64.to_le_bytes()));
    let config = Folder::named("openai-vit_b_32").config();
    assert_refused(
        "another side",
        Clip::load(&config, &other),
        "tensor input_resolution holds other values, the config says the number 224",
    );

    let resnet = Folder::named("open_clip-rn50").config();
    let hugging_face = Folder::named("hugging_face-vit_b_32").bytes();
    assert_refused("a ResNet's config", Clip::load(&resnet, &hugging_face), "transformers' CLIPModel has a ViT");
    let message = "whose tensors are those of a ResNet with image_size 224, width 4, layers [3, 4, 6, 3]";
    assert_refused("a ViT's config", Clip::load(&config, &Folder::named("open_clip-rn50").bytes()), message);
    let mut wide = config;
    wide.text.vocab_size = 1 << 40;
    assert_refused("terabytes", Clip::load(&wide, &openai), "vocab_size 96");
}

#[test]
fn statistics_and_counters_are_checked() {
    let folder = Folder::named("open_clip-rn50");
    let (good, config) = (folder.bytes(), folder.config());
    let values = [-1.0_f32, 1.0].map(f32::to_le_bytes).concat();
    let negative = with(&good, "visual.bn1.running_var", (Dtype::F32, &[2], &values));
    let expected = "visual.bn1.running_var has a variance below 0";
    assert_refused("a negative variance", Clip::load(&config, &negative), expected);
    let counter = with(&good, "visual.bn1.num_batches_tracked", (Dtype::F32, &[], &[0; 4]));
    assert_refused("a counter of floats", Clip::load(&config, &counter), "has dtype F32, expected I64");
    let missing = Clip::load(&config, &without(&good, "visual.bn3.running_mean"));
    assert_refused("no statistics", missing, "first \"visual.bn3.running_mean\" of shape [4]");
}

/// transformers wrote `position_ids` until version 4.31; the numbers mean what they say.
#[test]
fn position_ids_are_carried_and_must_count() {
    let folder = Folder::named("hugging_face-vit_b_32");
    let with_ids = |ids: Vec<i64>| {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        with(&folder.bytes(), "text_model.embeddings.position_ids", (Dtype::I64, &[1, ids.len()], &bytes))
    };
    let good = with_ids((0..12).collect());
    let saved = Clip::load(&folder.config(), &good).unwrap().save().unwrap();
    let (came, went) = (SafeTensors::deserialize(&good).unwrap(), SafeTensors::deserialize(&saved).unwrap());
    let name = "text_model.embeddings.position_ids";
    assert_eq!(came.tensor(name).unwrap(), went.tensor(name).unwrap());
    let backwards = Clip::load(&folder.config(), &with_ids((0..12).rev().collect()));
    assert_refused("ids backwards", backwards, "holds other values, the config says 0 to 11");
    assert_refused("too many ids", Clip::load(&folder.config(), &with_ids((0..13).collect())), "has shape [1, 13]");
}

#[test]
fn f64_weights_that_did_not_change_go_back_as_they_came() {
    let thirds: Vec<u8> = [1.0_f64 / 3.0, 2.0 / 3.0, 0.1, 0.2].into_iter().flat_map(f64::to_le_bytes).collect();
    let file = with(&whole(), "ln_final.bias", (Dtype::F64, &[4], &thirds));
    let clip = Clip::load(&tiny(), &file).unwrap();
    let saved = clip.save().unwrap();
    assert_eq!(SafeTensors::deserialize(&saved).unwrap().tensor("ln_final.bias").unwrap().data(), thirds);
    let _ = clip.flat().fill_(0.5);
    let saved = clip.save().unwrap();
    let half = 0.5_f64.to_le_bytes().repeat(4);
    assert_eq!(SafeTensors::deserialize(&saved).unwrap().tensor("ln_final.bias").unwrap().data(), half);
}

#[test]
fn every_refusal_is_fatal() {
    let fault: lethe_common::fault::Fault = ModelError::Index("x".to_owned()).into();
    assert!(fault.is_fatal());
}
