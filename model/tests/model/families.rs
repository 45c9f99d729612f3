//! Every family of checkpoints, as open_clip, OpenAI and transformers write it: embeddings, and the way back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lethe_model::gradients::{leaf, leaf_gradients};
use lethe_model::loss::similarity;
use lethe_model::tch::{Kind, Tensor};
use lethe_model::{AdamW, AdamWSettings, Clip, Hints, ModelConfig};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::reference::{difference, path};

/// What the issue allows between two libraries, and what a half-precision file's embeddings may turn by.
const TOLERANCE: f64 = 1e-4;
const COSINE: f64 = 0.99999;

/// A folder as a user has it: config, one file or an index and its files, and what the library computed.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn all() -> Vec<Self> {
        let mut all: Vec<PathBuf> =
            std::fs::read_dir(path("families")).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all.into_iter().map(Self).collect()
    }

    pub fn named(name: &str) -> Self {
        Self(path("families").join(name))
    }

    pub fn name(&self) -> String {
        self.0.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub fn config(&self) -> ModelConfig {
        ModelConfig::from_json(&std::fs::read_to_string(self.0.join("config.json")).unwrap()).unwrap()
    }

    /// The checkpoint's file, or its index.
    pub fn bytes(&self) -> Vec<u8> {
        let index = self.0.join("model.safetensors.index.json");
        std::fs::read(if index.exists() { index } else { self.0.join("model.safetensors") }).unwrap()
    }

    pub fn clip(&self) -> Clip {
        lethe_model::tch::set_num_threads(1);
        Clip::load_with(&self.config(), &self.bytes(), |file| std::fs::read(self.0.join(file))).unwrap()
    }

    /// The files that hold tensors.
    pub fn files(&self) -> Vec<Vec<u8>> {
        let is_part = |path: &Path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("model") && name.ends_with(".safetensors")
        };
        let paths = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| is_part(path)).map(|path| std::fs::read(path).unwrap()).collect()
    }

    fn answers(&self) -> BTreeMap<String, Tensor> {
        Tensor::read_safetensors(self.0.join("answers.safetensors")).unwrap().into_iter().collect()
    }
}

/// The reference's pixels: scattered numbers from -1 to 1 that both languages make exactly.
pub fn pixels(side: i64) -> Tensor {
    let count = 2 * 3 * side * side;
    let numbers: Vec<f64> = (0..count).map(|i| ((i * i * 31 + i * 7) % 1009) as f64 / 504.5 - 1.0).collect();
    Tensor::from_slice(&numbers).to_kind(Kind::Float).view([2, 3, side, side])
}

fn cosine(have: &Tensor, want: &Tensor) -> f64 {
    let (have, want) = (have.to_kind(Kind::Double), want.to_kind(Kind::Double));
    similarity(&have, &want).unwrap().min().double_value(&[])
}

/// Both embeddings of a folder's model are what its library computed.
pub fn assert_conforms(folder: &Folder) {
    let (clip, answers, name) = (folder.clip(), folder.answers(), folder.name());
    let image = clip.encode_image(&pixels(clip.config().vision.image_size)).unwrap();
    let text = clip.encode_text(&answers["tokens"]).unwrap();
    for (what, have, want) in [("images", image, &answers["image"]), ("captions", text, &answers["text"])] {
        let (far, near) = (difference(&have, want), cosine(&have, want));
        let size = want.abs().max().double_value(&[]);
        println!(
            "{name:<28} {what:<9} largest {size:8.3}, largest difference {far:.1e}, cosine 1 - {:.1e}",
            1.0 - near
        );
        assert!(far <= TOLERANCE && near >= COSINE, "{name}: {what} differ by {far:.1e}, cosine {near}");
        assert!(size > 0.05, "{name}: {what} of this size would hide a difference");
    }
}

#[test]
fn every_familys_embeddings_equal_its_librarys() {
    let folders = Folder::all();
    assert_eq!(folders.len(), 21, "a family is missing; make reference writes them");
    folders.iter().for_each(assert_conforms);
}

/// Every tensor of every file is in the saved one, bit for bit, and nothing else is.
pub fn assert_returns(folder: &Folder) {
    let saved = folder.clip().save().unwrap();
    let saved = SafeTensors::deserialize(&saved).unwrap();
    let files = folder.files();
    let mut count = 0;
    for file in &files {
        for (name, tensor) in SafeTensors::deserialize(file).unwrap().iter() {
            assert_eq!(tensor, saved.tensor(name).unwrap(), "{}: {name}", folder.name());
            count += 1;
        }
    }
    assert_eq!(count, saved.len(), "{}", folder.name());
}

#[test]
fn every_family_goes_back_bit_for_bit_in_its_names() {
    Folder::all().iter().for_each(assert_returns);
}

/// The most that a step of training may leave alone: what is no parameter.
#[test]
fn training_changes_weights_and_never_statistics() {
    for name in ["openai-rn50", "hugging_face-vit_b_16"] {
        let folder = Folder::named(name);
        let mut clip = folder.clip();
        let gradient = clip.flat().ones_like();
        AdamW::new(&clip, AdamWSettings::default()).unwrap().step(&mut clip, &gradient, 1e-1).unwrap();
        let (came, went) = (folder.bytes(), clip.save().unwrap());
        let (came, went) = (SafeTensors::deserialize(&came).unwrap(), SafeTensors::deserialize(&went).unwrap());
        for (name, tensor) in came.iter() {
            let is_kept = ["running", "batches", "input_resolution", "context_length", "vocab_size"]
                .iter()
                .any(|part| name.contains(part));
            assert_eq!(tensor == went.tensor(name).unwrap(), is_kept, "{name}");
            assert_eq!(tensor.dtype(), went.tensor(name).unwrap().dtype(), "{name}");
        }
    }
}

/// d(loss)/d(parameter) flows through frozen statistics, and the forward pass leaves them as they are.
#[test]
fn a_resnet_learns_without_moving_its_statistics() {
    let folder = Folder::named("open_clip-rn50");
    let clip = folder.clip();
    let before = clip.save().unwrap();
    let image = clip.encode_image(&pixels(clip.config().vision.image_size)).unwrap();
    let slopes = leaf_gradients(&image.square().sum(Kind::Float), &clip.leaves()[..1]).unwrap();
    assert!(slopes[0].abs().max().double_value(&[]) > 0.0);
    assert_eq!(clip.save().unwrap(), before);
}

#[test]
fn copies_and_other_kinds_keep_statistics_and_form() {
    let folder = Folder::named("openai-rn50");
    let clip = folder.clip();
    let copy = clip.duplicate().unwrap().into_kind(Kind::Double).unwrap();
    let pixels = pixels(clip.config().vision.image_size);
    let (one, other) = (clip.encode_image(&pixels).unwrap(), copy.encode_image(&pixels.to_kind(Kind::Double)).unwrap());
    assert!(difference(&other, &one) < TOLERANCE);
    assert_eq!(copy.save().unwrap(), clip.save().unwrap());

    let words: Vec<i64> = (0..10).collect();
    let (compact, vocabulary) = clip.compact_vocabulary(&words).unwrap();
    assert!(difference(&compact.encode_image(&pixels).unwrap(), &one) == 0.0);
    let whole = clip.expand_vocabulary(&compact, &vocabulary).unwrap();
    assert_eq!(whole.save().unwrap(), clip.save().unwrap());
}

/// Dropping cells and slopes at cells, against open_clip's own modules put together anew.
#[test]
fn a_resnets_tokens_are_the_cells_of_its_pool() {
    let folder = Folder::named("open_clip-rn50");
    let (clip, answers) = (folder.clip(), folder.answers());
    let tokens = leaf(&clip.embed_patches(&pixels(224)).unwrap()).unwrap();
    assert_eq!(tokens.size(), [2, 1 + 49, 128]);
    let kept = clip.encode_tokens(&clip.keep_patches(&tokens, &answers["kept"]).unwrap()).unwrap();
    let text = clip.encode_text(&answers["tokens"]).unwrap();
    let match_of = similarity(&clip.encode_tokens(&tokens).unwrap(), &text).unwrap();
    let slopes = leaf_gradients(&match_of.sum(Kind::Float), &[&tokens]).unwrap();
    let cells = slopes[0].narrow(1, 1, 49);
    for (what, have, want) in [
        ("kept_embedding", &kept, &answers["kept_embedding"]),
        ("similarity", &match_of, &answers["similarity"]),
        ("cell_slope", &cells, &answers["cell_slope"]),
    ] {
        let far = difference(have, want);
        println!("{what}: largest difference {far:.1e}");
        assert!(far <= TOLERANCE, "{what} differs by {far:.1e}");
    }
}

#[test]
fn the_architecture_is_inferred_from_the_tensors() {
    for folder in Folder::all() {
        let want = folder.config();
        let hints = Hints {
            quick_gelu: (!folder.name().starts_with("openai")).then_some(want.quick_gelu),
            vision_heads: Some(want.vision.heads),
            text_heads: Some(want.text.heads),
        };
        let read = |file: &str| std::fs::read(folder.0.join(file));
        assert_eq!(ModelConfig::infer(&folder.bytes(), &hints, read).unwrap(), want, "{}", folder.name());
    }
}

/// The header is enough, and published widths are known.
#[test]
fn published_widths_need_no_hint_but_the_activation() {
    let config = r#"{"embed_dim": 512, "quick_gelu": true, "vision_cfg": {"patch_size": 32, "layers": 1},
        "text_cfg": {"layers": 1, "vocab_size": 9}}"#;
    let want = ModelConfig::from_json(config).unwrap();
    let bytes = Clip::init(&want, 1).unwrap().save().unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let hints = Hints::from_json(r#"{"quick_gelu": true}"#).unwrap();
    let none = |_: &str| unreachable!();
    assert_eq!(ModelConfig::infer(&bytes[..8 + length], &hints, none).unwrap(), want);
    assert_eq!(Hints::from_json(config), None);
}

#[test]
fn a_header_of_absurd_sides_is_refused_before_anything_is_computed_of_them() {
    let stem = "visual.conv3.weight";
    let bytes =
        crate::damaged::with(&Folder::named("open_clip-rn50").bytes(), stem, (Dtype::U8, &[1 << 59, 0, 3, 3], &[]));
    let hints = Hints { quick_gelu: Some(true), text_heads: Some(1), vision_heads: None };
    let error = ModelConfig::infer(&bytes, &hints, |_| unreachable!()).unwrap_err().to_string();
    assert!(error.contains(stem), "{error}");
}

#[test]
fn what_tensors_do_not_tell_is_asked_for() {
    let bytes = Folder::named("open_clip-vit_b_32").bytes();
    let message = |hints: Hints| ModelConfig::infer(&bytes, &hints, |_| unreachable!()).unwrap_err().to_string();
    assert!(message(Hints::default()).contains("do not tell whether it has quick GELU; give its config"));
    let hints = Hints { quick_gelu: Some(false), ..Hints::default() };
    assert!(message(hints).contains("do not tell the heads of its text tower"));
}

#[test]
fn configs_of_every_family_are_written_and_read_back() {
    for folder in Folder::all() {
        let config = folder.config();
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config, "{}", folder.name());
    }
}
