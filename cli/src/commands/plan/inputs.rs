//! What the arithmetic starts from: each figure with where it comes from.
//!
//! It must never hold a figure that is not printed.

use crate::arguments::{Figures, Place};

use super::shape::Shape;
use super::words::{number, rate, size};

/// A figure and its source.
#[derive(Debug, Clone)]
pub struct Input {
    pub value: f64,
    pub from: String,
}

#[derive(Debug, Clone)]
pub struct Inputs {
    /// Operations a second that a worker reaches.
    pub flops: Input,
    pub gpu_bytes: Input,
    pub decoders: Input,
    /// Pairs a second and decoding thread.
    pub decode_rate: Input,
    pub shard_samples: Input,
    pub pair_bytes: Input,
    /// Bytes a second of one worker, and of all together.
    pub read: Input,
    pub storage: Input,
    pub gang: Input,
    /// Seconds until a shard, or a blob, begins to come.
    pub open_shard: Input,
    pub open_blob: Input,
    pub hash: Input,
    pub bus: Input,
    pub commits: Input,
    pub digest: Input,
    pub rows: Input,
    pub state: Input,
    pub shards_lie: Place,
}

/// Seconds until an object comes, and a file of a shared folder.
const OPEN: [(Place, f64); 2] = [(Place::Bucket, 0.020), (Place::Folder, 0.001)];
const OVERLAY: &str = "read: k8s/overlays/gpu gives a worker 8 cores, one of which computes";
const PEAK: &str =
    "assumed: half of an H100's 67 TFLOP/s in f32, in which scoring computes (NVIDIA's data sheet; not run on a GPU)";

impl Inputs {
    /// Of the command line, and of this page where that says nothing.
    pub fn of(figures: &Figures, shape: &Shape, gpus: u32) -> Self {
        Self {
            flops: flops(figures, shape),
            gpu_bytes: given(figures.gpu_gb.map(|gb| gb * 1e9), 80e9, "documented: an H100's"),
            decoders: given(figures.decoders.map(f64::from), 7.0, OVERLAY),
            decode_rate: given(
                figures.decode_rate,
                244.0,
                "measured: 4.1 ms a sample (docs/scoring.md), `lethe bench score --only embedding`",
            ),
            shard_samples: given(
                figures.shard_samples.map(|n| n as f64),
                10_000.0,
                "assumed: as img2dataset writes them",
            ),
            pair_bytes: given(figures.pair_bytes, 25e3, "assumed: pictures of 224 to 256 pixels as JPEG, and captions"),
            read: given(figures.read_gb_s.map(|gb| gb * 1e9), 0.4e9, "assumed"),
            storage: given(figures.storage_gb_s.map(|gb| gb * 1e9), 100e9, "assumed"),
            gang: given(figures.gang.map(f64::from), f64::from(gpus.min(8)), "one node (docs/scale.md)"),
            open_shard: open(figures.shards),
            open_blob: open(figures.blobs),
            hash: input(2e9, "assumed: one host reads and hashes files"),
            bus: input(360e9, "assumed: 80 % of NVLink's 450 GB/s"),
            commits: input(9_070.0, "measured: `lethe bench control-plane`, 2 cores (docs/scale.md)"),
            digest: input(1.7e6, "assumed: 60 bytes of JSON a pair at 100 MB/s (docs/scale.md)"),
            rows: input(1e6, "assumed: one thread writes scores.parquet (docs/scale.md)"),
            state: input(50.0, "measured: `lethe bench control-plane` (ARCHITECTURE.md)"),
            shards_lie: figures.shards,
        }
    }

    /// What each is called, as people read it, and where it is from.
    pub fn listed(&self, shape: &Shape) -> Vec<[String; 3]> {
        let row = |name: &str, value: String, input: &Input| [name.to_owned(), value, input.from.clone()];
        let seconds = |input: &Input| format!("{} ms", number(input.value * 1e3));
        vec![
            row("a worker computes", format!("{} TFLOP/s", number(self.flops.value / 1e12)), &self.flops),
            row(
                "which scores",
                rate(self.flops.value / shape.score()),
                &input(0.0, &format!("{} GFLOP a pair: the model's shape", number(shape.score() / 1e9))),
            ),
            row(
                "a worker decodes",
                format!("{} threads, {} each", self.decoders.value, rate(self.decode_rate.value)),
                &self.decoders,
            ),
            row("a thread decodes", rate(self.decode_rate.value), &self.decode_rate),
            row("a shard", format!("{} pairs", number(self.shard_samples.value)), &self.shard_samples),
            row("a pair", size(self.pair_bytes.value), &self.pair_bytes),
            row("a worker reads", format!("{}/s", size(self.read.value)), &self.read),
            row("storage gives to all", format!("{}/s", size(self.storage.value)), &self.storage),
            row("a shard begins to come", seconds(&self.open_shard), &self.open_shard),
            row("a blob begins to come", seconds(&self.open_blob), &self.open_blob),
            row("a training's ranks", number(self.gang.value), &self.gang),
            row("a gradient is summed at", format!("{}/s", size(self.bus.value)), &self.bus),
            row("files are hashed at", format!("{}/s", size(self.hash.value)), &self.hash),
            row("leases and commits", format!("{} a second", number(self.commits.value)), &self.commits),
            row("digests are read at", format!("{} pairs a second", number(self.digest.value)), &self.digest),
            row("the report writes", format!("{} rows a second", number(self.rows.value)), &self.rows),
            row("state a shard and output", size(self.state.value), &self.state),
            row("a GPU's memory", size(self.gpu_bytes.value), &self.gpu_bytes),
        ]
    }
}

fn flops(figures: &Figures, shape: &Shape) -> Input {
    match (figures.rate, figures.tflops) {
        (Some(pairs), _) => input(pairs * shape.score(), "given: --rate"),
        (None, Some(tera)) => input(tera * 1e12, "given: --tflops"),
        (None, None) => input(33.5e12, PEAK),
    }
}

fn open(place: Place) -> Input {
    let seconds = OPEN.iter().find(|(known, _)| *known == place).map_or(0.0, |(_, seconds)| *seconds);
    input(
        seconds,
        match place {
            Place::Bucket => "assumed: an object store",
            Place::Folder => "assumed: a shared folder",
        },
    )
}

pub fn input(value: f64, from: &str) -> Input {
    Input { value, from: from.to_owned() }
}

fn given(own: Option<f64>, usual: f64, from: &str) -> Input {
    own.map_or_else(|| input(usual, from), |value| input(value, "given"))
}
