//! A small model, small data, and every objective on them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lethe_collective::{Backend, CollectiveError, Group, GroupOptions, MemoryStore};
use lethe_common::spec::{GangSection, Precision};
use lethe_evidence::{PairRole, PairRow};
use lethe_model::tch::Kind;
use lethe_model::{Clip, ModelConfig, Vocabulary};

use crate::programs::gang::clean_clip::CleanClip;
use crate::programs::gang::dataset::Dataset;
use crate::programs::gang::eda;
use crate::programs::gang::objective::Objective;
use crate::programs::gang::overfit::Overfit;
use crate::programs::gang::par::Par;
use crate::programs::gang::safe::Safe;
use crate::programs::gang::sampler::Stream;
use crate::programs::gang::stand_in::StandIn;
use crate::programs::gang::texts::Texts;
use crate::programs::gang::train::Train;
use crate::programs::gang::training;
use crate::programs::gang::unlearn::Unlearn;
use crate::programs::gang::vocabulary::Lexicon;
use crate::task::{Rig, TaskContext, sample_id};

use super::slip::{Slip, Slipping};

const SIDE: usize = 8;
const SAFE_ROWS: usize = 40;
/// Divides by no world size above 1.
pub const SAFE_BATCH: usize = 11;
/// Fewer than ranks, so that some have no row of it.
pub const SUSPECT_BATCH: usize = 3;
const CONFIG: &str = r#"{
    "embed_dim": 8,
    "vision_cfg": {"image_size": 8, "patch_size": 4, "width": 16, "layers": 2, "head_width": 8, "mlp_ratio": 2.0},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2, "mlp_ratio": 2.0}
}"#;
const WORDS: [&str; 6] = ["boot", "shirt", "bag", "coat", "dress", "sandal"];

/// A model and its data, made anew in each rank's thread, as a process would.
pub struct Material {
    whole: Clip,
    pub start: Clip,
    vocabulary: Vocabulary,
    safe: Option<Dataset>,
    /// Second views of the safe captions.
    views: Option<Texts>,
    suspects: Option<Dataset>,
    /// Two texts each that the suspects lose.
    lost: Option<Texts>,
}

impl Material {
    pub fn new() -> Self {
        lethe_model::tch::set_num_threads(1);
        let config = ModelConfig::from_json(CONFIG).expect("is a config");
        let whole = Clip::init(&config, 5).and_then(|clip| clip.into_kind(Kind::Double)).expect("a model");
        let mut lexicon = Lexicon::new(&whole);
        let rows: Vec<PairRow> = (0..SAFE_ROWS).map(|n| row(n, PairRole::Safe)).collect();
        let views = eda::views(rows.iter().map(|row| row.caption.as_str()), Stream { seed: 3, number: 34 });
        let views = lexicon.texts(views.iter().map(String::as_str)).expect("second views");
        let safe = lexicon.dataset(rows).expect("safe pairs");
        let suspects: Vec<PairRow> = (0..9).map(|n| row(100 + n, PairRole::Suspect)).collect();
        let words = suspects.iter().map(|row| row.caption.clone());
        let captions = suspects.iter().map(|row| format!("{} for sale", row.caption));
        let lost: Vec<String> = words.chain(captions).collect();
        let lost = lexicon.texts(lost.iter().map(String::as_str)).expect("what is lost");
        let suspects = lexicon.dataset(suspects).expect("suspects");
        let (start, vocabulary) = lexicon.compact().expect("compacts");
        Self {
            whole,
            start,
            vocabulary,
            safe: Some(safe),
            views: Some(views),
            suspects: Some(suspects),
            lost: Some(lost),
        }
    }

    /// Takes the data.
    pub fn objective(&mut self, name: &str) -> Box<dyn Objective> {
        let mapped = |data: Option<Dataset>| data.expect("one objective").map(&self.vocabulary).expect("maps");
        let data = mapped(self.safe.take());
        let is_carried = |caption: &str| caption.contains("boot") || name == "unlearn-without-others";
        let carries = data.captions().map(is_carried).collect();
        let suspects = mapped(self.suspects.take());
        let frozen = self.start.duplicate().expect("copies");
        let safe = |data| Safe { data, draws: Stream { seed: 3, number: 30 }, batch: SAFE_BATCH, favoured: None };
        let draws = Stream { seed: 3, number: 31 };
        let order = Stream { seed: 3, number: 0 };
        let batch = SUSPECT_BATCH;
        match name {
            // Fine-tuning too: the same from another model.
            "train" => Box::new(Train { data, order, batch: SAFE_BATCH }),
            "overfit" => Box::new(Overfit { safe: safe(data), suspects, draws, batch, pull_weight: 1.5 }),
            "stand-in" => Box::new(StandIn {
                frozen,
                safe: safe(data),
                strongest: suspects,
                draws,
                batch,
                anchor_weight: 0.7,
                forget_weight: 1.3,
            }),
            "unlearn" | "unlearn-without-others" => Box::new(Unlearn {
                frozen,
                safe: safe(data),
                carries,
                forget: suspects,
                lost: self.lost.take().expect("one objective").map(&self.vocabulary).expect("maps"),
                texts_each: 2,
                draws,
                batch,
                anchor_weight: 0.7,
                forget_weight: 1.3,
            }),
            "clean-clip" => Box::new(CleanClip {
                data,
                captions: self.views.take().expect("one objective").map(&self.vocabulary).expect("maps"),
                order,
                draws,
                batch: SAFE_BATCH,
                self_supervised_weight: 0.8,
            }),
            "par" => Box::new(Par {
                frozen,
                data,
                order,
                draws,
                batch: SAFE_BATCH,
                perturb_weight: 0.6,
                perturb_limit: 2.15,
            }),
            other => panic!("{other} is no objective"),
        }
    }

    /// A training of the objective, from its first weights.
    pub fn training(mut self, objective: &str, slip: Option<Slip>) -> training::Material<Slipping> {
        let objective = Slipping { inner: self.objective(objective), slip };
        let Self { whole, start, vocabulary, .. } = self;
        training::Material { whole, vocabulary, start, objective }
    }

    /// Leaves the first values, so that anchors and slopes are not zero by chance.
    pub fn moved(&self) -> Clip {
        let clip = self.start.duplicate().expect("copies");
        let mut flat = clip.flat();
        let wave = lethe_model::tch::Tensor::arange(flat.numel() as i64, (Kind::Double, flat.device())).sin() * 0.01;
        flat += wave;
        clip
    }
}

pub const OBJECTIVES: [&str; 7] =
    ["train", "overfit", "stand-in", "unlearn", "unlearn-without-others", "clean-clip", "par"];

fn row(number: usize, role: PairRole) -> PairRow {
    let pixel = |at: usize| ((number * 37 + at * 11 + number * at) % 251) as u8;
    PairRow {
        shard: 0,
        key: format!("{number:05}"),
        content: format!("{number:064x}"),
        caption: format!("a {} number {}", WORDS[number % WORDS.len()], number % 7),
        role,
        pixels: (0..SIDE * SIDE * 3).map(pixel).collect(),
        values: Vec::new(),
    }
}

pub fn section(steps: u64, micro_batch: Option<u32>) -> GangSection {
    GangSection {
        steps,
        batch: SAFE_BATCH as u32,
        learning_rate: 1e-3,
        weight_decay: 0.1,
        micro_batch,
        precision: Precision::F64,
        ..GangSection::PLAIN
    }
}

/// Runs every rank of a world in a thread of its own, and gives what they returned, in order of rank.
pub fn ranks<T: Send>(world_size: u32, body: impl Fn(Seat) -> T + Sync) -> Vec<T> {
    let store = Arc::new(MemoryStore::new());
    std::thread::scope(|scope| {
        let run = |rank| {
            let seat = Seat { rank, world_size, store: Arc::clone(&store) };
            let body = &body;
            scope.spawn(move || body(seat))
        };
        let threads: Vec<_> = (0..world_size).map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rank does not panic")).collect()
    })
}

/// A rank's place before its group is there.
pub struct Seat {
    pub rank: u32,
    pub world_size: u32,
    store: Arc<MemoryStore>,
}

impl Seat {
    pub fn connect(self) -> Result<Group, CollectiveError> {
        let options = GroupOptions {
            rank: self.rank,
            world_size: self.world_size,
            backend: Backend::Gloo { host: "127.0.0.1".to_owned() },
            timeout: Duration::from_secs(60),
        };
        Group::connect(self.store, &options)
    }
}

/// The context of a task that reads nothing.
pub fn with_context<T>(body: impl FnOnce(&TaskContext<'_>) -> T) -> T {
    in_folder(tempfile::tempdir().expect("a folder").path(), body)
}

/// The same with its blobs in a folder.
pub fn in_folder<T>(folder: &Path, body: impl FnOnce(&TaskContext<'_>) -> T) -> T {
    let rig = Rig::new(folder);
    let spec = serde_json::json!({
        "audit": {"id": "gang"},
        "model": {"config": "config.json", "checkpoint": null, "trusted": null},
        "data": {"shards": ["0.tar"]},
    });
    body(&TaskContext { spec: serde_json::from_value(spec).expect("is a spec"), task: sample_id(0), ..rig.context() })
}
