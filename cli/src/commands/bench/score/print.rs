//! What the benchmark found, for people and for programs.
//!
//! It must never print a ratio without what was divided by what.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::figures::{self, median, setting};
use super::Results;
use super::embed::Round;
use super::memory::Memory;

const DEFINITIONS: [(&str, &str); 9] = [
    (
        "ratio_to_open_clip",
        "ViT-B/32: samples a second of processor time, over open_clip's with webdataset on the same shards",
    ),
    ("ratio_small_images", "the same for a model of width 128 and 4 layers on pictures of 64 pixels"),
    (
        "image_tower_share",
        "open_clip's bare image tower on a batch that lies ready, over the image stage here, a picture",
    ),
    ("ratio_decode_to_pillow", "Pillow's time to decode, resize and crop a picture, over the time here"),
    ("ratio_reduced", "time here to decode and resize a picture, over that with JPEGs at a reduced scale (data.jpeg)"),
    ("ratio_resize_to_pillow", "the same of resizing and cropping alone"),
    ("ratio_dao", "processor time of PyTorch's chunked DAO (matmul and topk) of the same embeddings, over that here"),
    ("memory_growth", "peak memory of the executor that scores all samples, over that of one that scores a hundredth"),
    (
        "cost_growth",
        "processor time a sample of the executor that scores all samples, over that of one that scores a hundredth",
    ),
];

fn spread<T>(rounds: &[T], of: impl Fn(&T) -> Option<f64>) -> Option<[f64; 3]> {
    figures::spread(rounds.iter().filter_map(of))
}

fn ratios(results: &Results) -> BTreeMap<&'static str, Option<[f64; 3]>> {
    [
        ("ratio_to_open_clip", spread(&results.web, Round::ratio)),
        ("ratio_small_images", spread(&results.small, Round::ratio)),
        ("image_tower_share", spread(&results.web, Round::tower_share)),
        ("ratio_decode_to_pillow", spread(&results.pictures, |round| round.ratio_decode())),
        ("ratio_reduced", spread(&results.pictures, |round| round.ratio_reduced())),
        ("ratio_resize_to_pillow", spread(&results.pictures, |round| round.ratio_resize())),
        ("ratio_dao", results.dao.as_ref().and_then(super::density::Dao::ratio)),
        ("memory_growth", results.memory.as_ref().and_then(Memory::growth)),
        ("cost_growth", results.memory.as_ref().and_then(Memory::cost_growth)),
    ]
    .into()
}

/// Milliseconds a sample of each stage, the middle of the rounds.
fn stages(rounds: &[Round]) -> BTreeMap<&'static str, Option<f64>> {
    let ms = |of: fn(&Round) -> Option<f64>| median(rounds.iter().filter_map(of)).map(|seconds| seconds * 1e3);
    [
        ("in all", ms(|r| Some(r.lethe.of(r.lethe.cpu_s)))),
        ("image tower", ms(|r| Some(r.lethe.of(r.lethe.image_s)))),
        ("text tower", ms(|r| Some(r.lethe.of(r.lethe.text_s)))),
        ("reading and decoding", ms(|r| Some(r.lethe.of(r.lethe.cpu_s - r.lethe.image_s - r.lethe.text_s)))),
        ("waiting for pictures, by the clock", ms(|r| Some(r.lethe.of(r.lethe.waited_s)))),
        ("scoring's looks, in all", ms(|r| Some(r.observed.of(r.observed.cpu_s)))),
        ("open_clip, in all", ms(|r| r.open_clip.as_ref().map(|theirs| theirs.of(theirs.cpu_s)))),
        ("open_clip's bare image tower", ms(|r| r.open_clip.as_ref().map(|theirs| theirs.tower_s))),
    ]
    .into()
}

pub fn json(results: &Results) -> Value {
    let mut all = json!(ratios(results));
    all["stages_ms"] = json!({"ViT-B/32": stages(&results.web), "small": stages(&results.small)});
    all["rounds"] = json!({"web": results.web, "small": results.small, "pictures": results.pictures});
    all["reduced"] = json!(results.reduced);
    all["dao"] = json!(results.dao);
    all["memory"] = json!(results.memory);
    all["skipped"] = json!(results.skipped);
    all["setting"] = setting();
    all["definitions"] = json!(DEFINITIONS.iter().copied().collect::<BTreeMap<_, _>>());
    all
}

pub fn text(results: &Results) -> String {
    let mut lines = Vec::new();
    let models = [("ViT-B/32 at 224", &results.web), ("small model at 64", &results.small)];
    for (model, rounds) in models.into_iter().filter(|(_, rounds)| !rounds.is_empty()) {
        lines.push(format!("{model}, milliseconds of processor time a sample"));
        let stage = |(what, ms): (&str, Option<f64>)| ms.map(|ms| format!("  {what:<38}{ms:>9.3}"));
        lines.extend(stages(rounds).into_iter().filter_map(stage));
    }
    lines.extend(results.reduced.iter().map(|effect| {
        format!(
            "reduced JPEGs: {} of {} pictures differ, by {:.2} of 255 on average; cosine of their features {:.4} \
             ({:.4} at least), rank correlation of similarities {:.4}",
            effect.reduced,
            effect.pictures,
            effect.mean_difference,
            effect.mean_cosine,
            effect.least_cosine,
            effect.rank_correlation
        )
    }));
    let runs = results.memory.iter().flat_map(|memory| memory.few.iter().chain([&memory.many]));
    lines.extend(runs.map(|run| {
        let (samples, peak_mb, us) = (run.samples, run.peak_bytes as f64 / 1e6, run.cpu_us_a_sample);
        format!("{samples} samples: {peak_mb:.0} MB at most, {us:.0} us of processor time each")
    }));
    let ratio = |(name, found): (&str, Option<[f64; 3]>)| {
        found.map(|[middle, least, most]| format!("{name:<28}{middle:.2} ({least:.2} to {most:.2})"))
    };
    lines.extend(ratios(results).into_iter().filter_map(ratio));
    lines.extend(results.skipped.iter().map(|(what, why)| format!("not measured: {what}: {why}")));
    lines.extend(DEFINITIONS.iter().map(|(name, what)| format!("  {name}: {what}")));
    lines.join("\n") + "\n"
}
