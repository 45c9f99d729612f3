//! A small drill: synthetic pictures planted by lethe-redteam, in short shards, with an untrained victim.
//!
//! Equal drills must give equal bytes, since results are compared bit by bit.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use lethe_data::ShardWriter;
use lethe_model::{Clip, ModelConfig};
use lethe_redteam::attack::Attack;
use lethe_redteam::data_set::{Part, Pool};
use lethe_redteam::fashion::Fashion;
use lethe_redteam::pairs::Pairs;
use lethe_redteam::recipe::{MODEL_CONFIG, Recipe};
use tempfile::TempDir;

const SIDE: usize = 28;
const SEED: u64 = 1;

/// A folder with shards, a victim, its config, and specs.
pub struct Drill {
    folder: PathBuf,
    shards: usize,
    /// Removes the folder in the end, where it is this drill's own.
    _own: Option<TempDir>,
}

/// How large a drill is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub shards: usize,
    pub pairs_per_shard: usize,
}

impl Drill {
    pub fn plant(size: Size) -> Self {
        let own = tempfile::tempdir().expect("makes a folder");
        let drill = Self::plant_in(own.path(), size);
        Self { _own: Some(own), ..drill }
    }

    /// In a folder that stays.
    pub fn plant_in(folder: &Path, size: Size) -> Self {
        let drill = Self { folder: folder.to_owned(), shards: size.shards, _own: None };
        drill.write_shards(size);
        std::fs::write(drill.path("model.json"), MODEL_CONFIG).expect("writes the config");
        let config = ModelConfig::from_json(MODEL_CONFIG).expect("is a config");
        let victim = Clip::init(&config, SEED).and_then(|clip| clip.save()).expect("makes a victim");
        std::fs::write(drill.path("victim.safetensors"), victim).expect("writes the victim");
        drill
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The pattern that names every shard.
    pub fn pattern(&self) -> String {
        format!("{{0..{}}}.tar", self.shards - 1)
    }

    /// A spec with trainings short enough for a test and long enough for a kill in their middle. Its limits
    /// accept any result: an untrained victim has nothing to lose.
    pub fn spec(&self, edit: impl FnOnce(&mut toml::Table)) -> PathBuf {
        let mut spec: toml::Table = toml::from_str(SPEC).expect("is TOML");
        set(&mut spec, "data", "shards", toml::Value::Array(vec![self.pattern().into()]));
        edit(&mut spec);
        let path = self.path("audit.toml");
        std::fs::write(&path, spec.to_string()).expect("writes the spec");
        path
    }

    fn write_shards(&self, size: Size) {
        let pairs = size.shards * size.pairs_per_shard;
        write_pictures(&self.folder, 2 * pairs);
        let fashion = Fashion::read(&self.folder, Part::Train).expect("reads the pictures");
        let recipe = Recipe { pairs, ..Recipe::usual(Attack::Badnet, SEED) };
        let scheme = recipe.attack.scheme((SEED, recipe.target), fashion.side(), None).expect("needs no patch");
        let mut pairs = Pairs::poisoned(&recipe, &fashion, &scheme, None).expect("is a good recipe").enumerate();
        for shard in 0..size.shards {
            let file = File::create(self.path(&format!("{shard}.tar"))).expect("creates a shard");
            let mut writer = ShardWriter::new(file);
            for (number, pair) in pairs.by_ref().take(size.pairs_per_shard) {
                let png = pair.picture.to_png().expect("encodes");
                writer.append(&format!("{number:06}"), &png, "png", &pair.caption).expect("writes a pair");
            }
            writer.finish().expect("ends the shard");
        }
    }
}

/// Every word counts as the backdoor's (min_z), since an untrained model finds none, and unlearning needs some.
const SPEC: &str = r#"
[audit]
id = "drill"
[model]
checkpoint = "victim.safetensors"
config = "model.json"
[data]
[workers]
count = 2
heartbeat_ms = 500
[reference]
samples = 200
[localize]
min_z = 0.05
[overfit]
pull_weight = 1.0
[overfit.gang]
steps = 6
batch = 64
learning_rate = 5e-4
weight_decay = 0.0
warmup_steps = 2
[stand_in.gang]
steps = 6
batch = 64
learning_rate = 5e-4
weight_decay = 0.0
warmup_steps = 2
[unlearn.gang]
steps = 150
batch = 64
learning_rate = 5e-4
weight_decay = 0.0
warmup_steps = 2
[evaluate]
min_attraction = 0.0
min_graft_excess = -1.0
max_retrieval_loss = 1.0
max_residual_attraction = 1.0
"#;

/// Sets `section.field`.
pub fn set(spec: &mut toml::Table, section: &str, field: &str, value: impl Into<toml::Value>) {
    let section = spec[section].as_table_mut().expect("is a section");
    section.insert(field.to_owned(), value.into());
}

/// Pictures and labels in Fashion-MNIST's format: a class is a period of stripes, a picture its phase.
fn write_pictures(folder: &Path, count: usize) {
    let pixel = |picture: usize, at: usize| {
        let (row, column) = (at / SIDE, at % SIDE);
        ((row * (2 + picture % 10) + column * (1 + picture / 10 % 7) + picture * 37) * 11 % 256) as u8
    };
    let pixels = (0..count).flat_map(|picture| (0..SIDE * SIDE).map(move |at| pixel(picture, at))).collect();
    let side = SIDE as u32;
    write_idx(&folder.join("train-images-idx3-ubyte.gz"), 0x0803, &[count as u32, side, side], pixels);
    let labels = (0..count).map(|picture| (picture % 10) as u8).collect();
    write_idx(&folder.join("train-labels-idx1-ubyte.gz"), 0x0801, &[count as u32], labels);
}

fn write_idx(path: &Path, magic: u32, shape: &[u32], bytes: Vec<u8>) {
    let file = File::create(path).expect("creates an idx file");
    let mut packed = GzEncoder::new(file, Compression::fast());
    let header: Vec<u8> = std::iter::once(&magic).chain(shape).flat_map(|word| word.to_be_bytes()).collect();
    packed.write_all(&header).and_then(|()| packed.write_all(&bytes)).expect("writes the idx file");
    packed.finish().expect("ends the idx file");
}
