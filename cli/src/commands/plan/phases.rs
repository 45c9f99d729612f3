//! How long each phase takes, and what bounds it.
//!
//! It must never be more exact than its inputs: parts of a phase follow each other where the code does not overlap them, and
//! what a cluster loses to faults is not here.

use crate::arguments::Place;

use super::inputs::Inputs;
use super::shape::Shape;
use super::words::rate;
use super::work::{Gang, Work};

/// Who works in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Coordinator,
    Workers,
    Gang,
}

#[derive(Debug, Clone)]
pub struct Phase {
    pub name: &'static str,
    pub who: Who,
    /// The largest part of its time.
    pub bound: String,
    pub seconds: f64,
}

/// Pictures that a probe looks at in a shard, of one cluster: its members, and donors on 8 hosts each in 10 ways: 64 members, 16
/// candidates and 16 honest pictures (worker/src/programs/grafts.rs).
const PROBED: f64 = 64.0 + (64.0 + 16.0 + 16.0) * 8.0 * 10.0;
/// Clusters, and shards that are looked at for each, at most.
const CLUSTERS: f64 = 8.0;
const PROBED_SHARDS: f64 = 128.0;
/// Words of a suspect's caption, each of which is taken away once (worker/src/programs/weights.rs): assumed, as of captions from the web.
const CAPTION_WORDS: f64 = 12.0;
/// Captions that the images of an evaluated shard choose among, at least (worker/src/programs/evaluate.rs).
const CAPTIONS: f64 = 256.0;
/// Blobs that a reduce has on their way at once (coordinator/src/reduce/io.rs).
const BLOBS_AT_ONCE: f64 = 32.0;
/// Objects that `plan` asks for at once.
const ASKED_AT_ONCE: f64 = 32.0;
/// Passes of image and text tower of a pair in a training's batch (docs/scale.md).
const OVERFIT: [f64; 2] = [3.75, 3.0];
const STAND_IN: [f64; 2] = [3.75, 3.0];
const UNLEARN: [f64; 2] = [3.75, 2.5];

/// One part of a phase's time: what it is, and how long.
type Part = (String, f64);

pub struct Arithmetic<'a> {
    pub work: &'a Work,
    pub shape: &'a Shape,
    pub inputs: &'a Inputs,
}

impl Arithmetic<'_> {
    /// All of an audit, in order.
    pub fn phases(&self) -> Vec<Phase> {
        let recipe = &self.work.recipe;
        vec![
            phase("plan", Who::Coordinator, vec![self.pinning()]),
            phase("reference", Who::Workers, self.reference()),
            phase("score", Who::Workers, self.score()),
            phase("suspect", Who::Coordinator, self.suspect()),
            phase("gather", Who::Workers, self.gather()),
            phase("overfit", Who::Gang, self.training(recipe.overfit, OVERFIT)),
            phase("stand-in", Who::Gang, self.training(recipe.stand_in, STAND_IN)),
            phase("rescore", Who::Workers, self.rescore()),
            phase("select", Who::Coordinator, vec![self.opened(2.0)]),
            phase("probe", Who::Workers, self.probe()),
            phase("confirm", Who::Coordinator, vec![self.opened(1.0)]),
            phase("localize", Who::Workers, self.localize()),
            phase("unlearn", Who::Gang, self.training(recipe.unlearn, UNLEARN)),
            phase("evaluate", Who::Workers, self.evaluate()),
            phase(
                "report",
                Who::Coordinator,
                vec![("it writes a row a pair".into(), self.work.samples / self.inputs.rows.value), self.opened(4.0)],
            ),
            phase("deliver", Who::Coordinator, vec![("it copies the result".into(), self.copied())]),
        ]
    }

    fn pinning(&self) -> Part {
        let Inputs { open_shard, hash, pair_bytes, .. } = self.inputs;
        match self.inputs.shards_lie {
            Place::Bucket => {
                ("objects are asked for, 32 at once".into(), self.work.shards * open_shard.value / ASKED_AT_ONCE)
            }
            Place::Folder => {
                ("one host reads and hashes every byte".into(), self.work.samples * pair_bytes.value / hash.value)
            }
        }
    }

    fn reference(&self) -> Vec<Part> {
        let drawn_from = self.work.reference_shards();
        let (rounds, at_work) = ((drawn_from / self.work.workers).ceil(), drawn_from.min(self.work.workers));
        let scored = self.work.recipe.reference.min(self.work.samples) / at_work;
        vec![
            (
                "shards are read".into(),
                rounds * (self.shard_bytes() / self.reading(at_work) + self.inputs.open_shard.value),
            ),
            ("GPUs compute".into(), scored * self.shape.score() / self.inputs.flops.value),
        ]
    }

    fn score(&self) -> Vec<Part> {
        let bounds = self.score_bounds();
        let (what, pairs) = &bounds[0];
        vec![
            (format!("{what}: {} a worker", rate(*pairs)), self.work.rounds() * self.work.shard_samples() / pairs),
            self.tasks(3.0),
        ]
    }

    /// What a worker could score a second if nothing else held it up, the least first.
    fn score_bounds(&self) -> Vec<Part> {
        let Inputs { flops, decoders, decode_rate, pair_bytes, .. } = self.inputs;
        let mut found = vec![
            ("GPUs compute".to_owned(), flops.value / self.shape.score()),
            ("threads decode".to_owned(), decoders.value * decode_rate.value),
            ("shards are read".to_owned(), self.reading(self.work.workers) / pair_bytes.value),
        ];
        found.sort_by(|a, b| a.1.total_cmp(&b.1));
        found
    }

    fn suspect(&self) -> Vec<Part> {
        let words = self.work.samples / self.inputs.digest.value;
        // Where the cap decides, the scores are read as well, so that the cut is exact.
        let blobs = if self.work.is_capped() { 2.0 } else { 1.0 };
        vec![("it reads every digest's words".into(), words), self.opened(blobs)]
    }

    fn gather(&self) -> Vec<Part> {
        // A file is hashed before it is believed.
        let times = match self.inputs.shards_lie {
            Place::Bucket => 1.0,
            Place::Folder => 2.0,
        };
        let read = self.work.rounds() * times * self.shard_bytes() / self.reading(self.work.workers);
        vec![("every shard is read again".into(), read), self.tasks(3.0)]
    }

    fn training(&self, gang: Gang, [image, text]: [f64; 2]) -> Vec<Part> {
        if gang.steps == 0.0 {
            return vec![("no steps: the checkpoint is handed on".into(), self.copied())];
        }
        let (work, inputs) = (self.work, self.inputs);
        let pixels = work.gathered() * self.shape.picture_bytes() / self.reading(work.gang);
        let a_pair = image * self.shape.image() + text * self.shape.text();
        let computed = gang.steps * gang.batch / work.gang * a_pair / inputs.flops.value;
        let sent = 2.0 * (work.gang - 1.0) / work.gang * 4.0 * self.shape.parameters();
        vec![
            ("each rank reads what was gathered".into(), pixels + work.shards * inputs.open_blob.value),
            ("steps".into(), computed + gang.steps * sent / inputs.bus.value),
        ]
    }

    /// A checkpoint that is read and written.
    fn copied(&self) -> f64 {
        8.0 * self.shape.parameters() / self.inputs.read.value
    }

    fn rescore(&self) -> Vec<Part> {
        let (work, shape) = (self.work, self.shape);
        let models = if work.recipe.overfit.steps > 0.0 { 2.0 } else { 1.0 };
        let scored = models * work.gathered() * (shape.image() + shape.text());
        let weighed = work.suspects() * (shape.image() + (1.0 + CAPTION_WORDS) * shape.text());
        let computed = (scored + weighed) / work.workers / self.inputs.flops.value;
        vec![("GPUs compute".into(), computed), self.tasks(4.0)]
    }

    fn probe(&self) -> Vec<Part> {
        let shards = self.work.shards.min(PROBED_SHARDS);
        let pictures = CLUSTERS * shards * PROBED * self.shape.image();
        let at_work = shards.min(self.work.workers);
        vec![("GPUs compute".into(), pictures / at_work / self.inputs.flops.value), self.tasks(4.0)]
    }

    fn localize(&self) -> Vec<Part> {
        let recipe = &self.work.recipe;
        let at_work = recipe.exhibits.min(self.work.shards).min(self.work.workers).max(1.0);
        let computed = recipe.exhibits * self.shape.occlusions() / at_work / self.inputs.flops.value;
        vec![("GPUs compute".into(), computed), self.tasks(3.0)]
    }

    fn evaluate(&self) -> Vec<Part> {
        let work = self.work;
        let captions = work.shards.min(work.held_out()) * (work.gathered() / work.shards).max(CAPTIONS);
        let flops = 2.0 * (work.held_out() * self.shape.image() + captions * self.shape.text());
        vec![("GPUs compute".into(), flops / work.workers / self.inputs.flops.value), self.tasks(5.0)]
    }

    /// Tasks that do little: the worker's blobs, or the coordinator's leases and commits.
    fn tasks(&self, blobs: f64) -> Part {
        let of_worker = self.work.rounds() * blobs * self.inputs.open_blob.value;
        let of_coordinator = self.work.shards / self.inputs.commits.value;
        match of_worker < of_coordinator {
            true => ("leases and commits".into(), of_coordinator),
            false => ("blobs of small tasks".into(), of_worker),
        }
    }

    /// The coordinator reads so many blobs of each shard.
    fn opened(&self, blobs: f64) -> Part {
        let what = "it opens blobs of every shard, 32 at once";
        (what.into(), self.work.shards * blobs * self.inputs.open_blob.value / BLOBS_AT_ONCE)
    }

    fn shard_bytes(&self) -> f64 {
        self.work.shard_samples() * self.inputs.pair_bytes.value
    }

    /// Bytes a second of each of so many readers.
    fn reading(&self, readers: f64) -> f64 {
        self.inputs.read.value.min(self.inputs.storage.value / readers)
    }
}

fn phase(name: &'static str, who: Who, parts: Vec<Part>) -> Phase {
    let seconds = parts.iter().map(|(_, seconds)| seconds).sum();
    let longest = parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    Phase { name, who, bound: longest.map_or_else(String::new, |(what, _)| what), seconds }
}

/// Seconds of an audit, its phases one after the other.
pub fn total(phases: &[Phase]) -> f64 {
    phases.iter().map(|phase| phase.seconds).sum()
}
