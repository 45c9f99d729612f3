//! What the stages of scoring cost on this machine, by the very modules that score; `lethe bench score` asks for it.
//!
//! It must never be part of a task, nor do anything that scoring does not do.

mod reduced;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use lethe_data::{Decoded, JpegScale, Limits, Target, decode, open_shard, resize, unpack};
use lethe_evidence::artifacts::ShardEntry;
use lethe_model::loss::{normalize, similarity};
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, ModelConfig};
use lethe_source::{Pinned, Source};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::captions::Distinct;
use super::observe::Observed;
use super::pictures::pixels_of;
use super::shard::{self, Batches};
use crate::executor::threads;

/// One measurement.
#[derive(Debug, Deserialize)]
#[serde(tag = "part", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Part {
    /// Shards in, similarities out.
    Embed { config: PathBuf, checkpoint: PathBuf, shards: Vec<PathBuf>, batch: usize },
    /// Shards in, what scoring looks at out.
    Observe { config: PathBuf, checkpoint: PathBuf, shards: Vec<PathBuf>, batch: usize },
    /// Every picture of the shards unpacked and resized, on one thread, and resized alone; then with JPEGs at a reduced scale.
    Decode { shards: Vec<PathBuf>, side: u32 },
    /// What becomes of similarities where JPEGs are unpacked at a reduced scale.
    Reduced { config: PathBuf, checkpoint: PathBuf, shards: Vec<PathBuf>, samples: usize },
}

/// Of the pairs of some shards. Seconds of processor time but for `wall_s` and `waited_s`.
#[derive(Debug, Default, Serialize)]
struct Pass {
    samples: u64,
    failed: u64,
    /// All threads of the process.
    cpu_s: f64,
    wall_s: f64,
    /// In which the computing thread waited for pictures, by the clock.
    waited_s: f64,
    image_s: f64,
    text_s: f64,
    observe_s: f64,
    similarities: Vec<f32>,
}

#[derive(Debug, Default, Serialize)]
struct Pictures {
    pictures: u64,
    decode_and_resize_s: f64,
    resize_s: f64,
    reduced_s: f64,
}

/// Measures what is asked for in JSON, and answers in JSON.
///
/// # Errors
/// The request is none, or a file in it cannot be read.
pub fn measure(request: &str) -> anyhow::Result<Value> {
    let part: Part = serde_json::from_str(request).context("the request is no measurement")?;
    tch::set_num_threads(i32::try_from(threads::torch()?)?);
    Ok(match part {
        Part::Embed { config, checkpoint, shards, batch } => {
            serde_json::to_value(pass(&load(&config, &checkpoint)?, &shards, batch, embed)?)?
        }
        Part::Observe { config, checkpoint, shards, batch } => {
            serde_json::to_value(pass(&load(&config, &checkpoint)?, &shards, batch, observe)?)?
        }
        Part::Decode { shards, side } => serde_json::to_value(pictures(&shards, Target::exact(side))?)?,
        Part::Reduced { config, checkpoint, shards, samples } => {
            serde_json::to_value(reduced::measure(&load(&config, &checkpoint)?, &shards, samples)?)?
        }
    })
}

fn read_config(path: &Path) -> anyhow::Result<ModelConfig> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(ModelConfig::from_json(&text)?)
}

fn load(config: &Path, checkpoint: &Path) -> anyhow::Result<Clip> {
    let bytes = std::fs::read(checkpoint).with_context(|| checkpoint.display().to_string())?;
    Ok(Clip::load(&read_config(config)?, &bytes)?)
}

type Look = fn(&Clip, &[Decoded], &mut Pass) -> anyhow::Result<Tensor>;

fn pass(clip: &Clip, shards: &[PathBuf], batch: usize, look: Look) -> anyhow::Result<Pass> {
    let target = Target::exact(u32::try_from(clip.config().vision.image_size)?);
    let source = Source::files();
    let entries = (0..).zip(shards).map(|(id, path)| entry(&source, id, path)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut pass, began, spent_s) = (Pass::default(), Instant::now(), process_s()?);
    for entry in &entries {
        let mut batches = Batches::of(shard::decoded((&source, entry), target, |_| true)?, batch);
        for pairs in batches.by_ref() {
            let values = look(clip, &pairs, &mut pass)?;
            pass.similarities.extend(Vec::<f32>::try_from(values)?);
        }
        pass.samples += batches.counts.scored;
        pass.failed += batches.counts.failed;
        pass.waited_s += batches.waited.as_secs_f64();
    }
    pass.cpu_s = process_s()? - spent_s;
    pass.wall_s = began.elapsed().as_secs_f64();
    Ok(pass)
}

fn entry(source: &Source, id: u32, path: &Path) -> anyhow::Result<ShardEntry> {
    let shown = path.display().to_string();
    let Pinned { pin, size_bytes } = source.pin(&shown)?;
    Ok(ShardEntry { id, name: shown.clone(), path: shown, size_bytes, pin })
}

fn embed(clip: &Clip, pairs: &[Decoded], pass: &mut Pass) -> anyhow::Result<Tensor> {
    let _guard = tch::no_grad_guard();
    let (image, image_s) = timed(|| {
        let pixels = pixels_of(pairs.iter().map(|pair| pair.pixels.as_slice()), clip)?;
        normalize(&clip.encode_image(&pixels)?)
    })?;
    let captions = || Distinct::of(pairs.iter().map(|pair| pair.caption.as_str())).embed_each(clip);
    let (text, text_s) = timed(|| normalize(&captions()?))?;
    pass.image_s += image_s;
    pass.text_s += text_s;
    Ok(similarity(&image, &text)?)
}

fn observe(clip: &Clip, pairs: &[Decoded], pass: &mut Pass) -> anyhow::Result<Tensor> {
    let (observed, observe_s) = timed(|| Observed::of(clip, pairs))?;
    pass.observe_s += observe_s;
    Ok(observed.similarity)
}

fn pictures(shards: &[PathBuf], target: Target) -> anyhow::Result<Pictures> {
    let mut found = Pictures::default();
    for path in shards {
        for sample in open_shard(path, Limits::default())? {
            let Ok(sample) = sample else { continue };
            let (pixels, both_s) = timed(|| decode(&sample.image, target))?;
            let picture = unpack(&sample.image, target)?;
            let (again, resize_s) = timed(|| resize(picture, target.side))?;
            anyhow::ensure!(pixels == again, "{}: two ways to the same pixels differ", sample.key);
            let (_, reduced_s) = timed(|| decode(&sample.image, Target { jpeg: JpegScale::Reduced, ..target }))?;
            found.pictures += 1;
            found.decode_and_resize_s += both_s;
            found.resize_s += resize_s;
            found.reduced_s += reduced_s;
        }
    }
    Ok(found)
}

/// What it gives, and this thread's processor time in it.
fn timed<T, E: Into<anyhow::Error>>(work: impl FnOnce() -> Result<T, E>) -> anyhow::Result<(T, f64)> {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    let before = now()?;
    let done = work().map_err(Into::into)?;
    let spent = now()? - before;
    Ok((done, spent.num_nanoseconds() as f64 / 1e9))
}

/// Processor time of all threads, theirs and the kernel's for them.
fn process_s() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
