//! `lethe demo`: a drill, its audit and its judgement in one go, with the numbers side by side.
//!
//! The audit in it is the one that operators run; truth is read only before it starts and after it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use lethe_common::spec::Spec;
use lethe_evidence::artifacts::{self, Exhibits, names, read_scores};
use lethe_proto::v1::AuditView;
use lethe_redteam::data_set::Part;
use lethe_redteam::detection::{self, Detection};
use lethe_redteam::drill::Drill;
use lethe_redteam::judge::{Judgement, Plot, judge, load};
use lethe_redteam::pairs::Planting;
use lethe_redteam::plant::write_spec;
use lethe_redteam::recipe::Recipe;
use lethe_redteam::specs;
use serde_json::json;

use crate::arguments::{Demo, Devices, Format};
use crate::cache;
use crate::commands::audit::{forget, phases_json, read_report};
use crate::commands::redteam::{Drilling, folder};
use crate::exit::Ending;
use crate::output::{percent, phase_seconds, phase_table};
use crate::session::{self, Outcome};

/// A victim below this has hardly a backdoor to remove.
const LEARNED: f64 = 0.9;

pub fn run(arguments: &Demo) -> anyhow::Result<Ending> {
    let recipe = Recipe::usual(arguments.attack, arguments.seed);
    let folder = folder(&cache::drill(&recipe, arguments.workers)?)?;
    let drilling = Drilling { recipe, folder, workers: arguments.workers };
    let Some(drill) = prepare(&drilling, &arguments.data)? else { return Ok(Ending::Interrupted) };
    let test = drilling.recipe.data.read(&arguments.data, Part::Test)?;
    let plot = Plot::of(&drilling.folder, &*test)?;
    let judged = |checkpoint: &Path| -> anyhow::Result<Judgement> {
        Ok(judge(&load(checkpoint, &drilling.folder.config())?, &*test, Some(&plot))?)
    };
    let (before, twin) = (judged(&drilling.folder.victim())?, judged(&drilling.folder.twin())?);
    if before.attack_success.unwrap_or(0.0) < LEARNED {
        eprintln!("warning: the victim hardly learned its backdoor ({before:?}); there is little to remove");
    }
    let Some(view) = audit(&drilling, &arguments.out)? else { return Ok(Ending::Interrupted) };
    let after = judged(&arguments.out.join("clean.safetensors"))?;
    let detected = detect(&drill, &arguments.out)?;
    conclude(&Story { drilling: &drilling, view: &view, before, after, twin, detected }, arguments)
}

/// Shards, victim and twin, from the cache where it has them. `None` when interrupted.
fn prepare(drilling: &Drilling, data: &Path) -> anyhow::Result<Option<Drill>> {
    if drilling.recipe.needs_public() && drilling.make_public(data)? == Ending::Interrupted {
        return Ok(None);
    }
    let drill = drilling.plant(data)?;
    if drilling.train(Planting::Poisoned)? == Ending::Interrupted {
        return Ok(None);
    }
    if !drilling.folder.twin().is_file() {
        drilling.plant_twin(data)?;
    }
    Ok((drilling.train(Planting::Clean)? != Ending::Interrupted).then_some(drill))
}

/// Audits the victim with its results in `out`. `None` when interrupted.
fn audit(drilling: &Drilling, out: &Path) -> anyhow::Result<Option<AuditView>> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let spec = specs::audit(&drilling.recipe, &drilling.folder, drilling.workers)?;
    let path = out.join("audit.toml");
    if !goes_on(&spec, &path, out) {
        forget(out)?;
        remove_figures(out)?;
    }
    write_spec(&spec, &path)?;
    eprintln!("auditing the victim: lethe audit {}", path.display());
    match session::run(&spec, out, Devices::Cpu)? {
        Outcome::Done(view) => Ok(Some(*view)),
        Outcome::Interrupted => {
            eprintln!("stopped; the same command goes on where this one stopped");
            Ok(None)
        }
    }
}

/// An older demo's figures must not stand beside a newer report, nor say that this one is done.
fn remove_figures(out: &Path) -> anyhow::Result<()> {
    let figures = out.join("demo.json");
    if figures.is_file() {
        std::fs::remove_file(&figures).with_context(|| format!("cannot remove {}", figures.display()))?;
    }
    Ok(())
}

/// Whether `out` holds the same audit, interrupted: a finished demo is run anew.
fn goes_on(spec: &Spec, path: &Path, out: &Path) -> bool {
    !out.join("demo.json").is_file() && lethe_common::spec::load(path).is_ok_and(|earlier| earlier == *spec)
}

/// How well the audit in `out` found the poison.
pub fn detect(drill: &Drill, out: &Path) -> anyhow::Result<Detected> {
    let read = |name: &str| {
        let path = out.join(name);
        std::fs::read(&path).with_context(|| format!("the audit left no {}", path.display()))
    };
    let scores = read_scores(read("scores.parquet")?.into())?;
    let list = String::from_utf8(read("drop-list.txt")?).context("drop-list.txt is not UTF-8")?;
    let flagged: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let suspects = detection::judge(drill, &scores.rows, &flagged)?;
    let Exhibits { exhibits, .. } = artifacts::decode(names::EXHIBITS, &read(names::EXHIBITS)?)?;
    Ok(Detected {
        suspects,
        others: detection::detectors(drill, &scores),
        flagged: flagged.len(),
        region_iou: detection::region_iou(drill, &exhibits),
    })
}

/// What became of the search for poison, by the truth.
pub struct Detected {
    pub suspects: Detection,
    /// AUROC of other detectors, where the audit kept their signals.
    pub others: BTreeMap<String, f64>,
    /// How many keys the audit wants dropped.
    pub flagged: usize,
    /// Of the exhibits' regions with the true patches, where the attack has a patch.
    pub region_iou: Option<f64>,
}

/// Everything a demo tells.
struct Story<'a> {
    drilling: &'a Drilling,
    view: &'a AuditView,
    before: Judgement,
    after: Judgement,
    twin: Judgement,
    detected: Detected,
}

fn conclude(story: &Story<'_>, Demo { out, output, .. }: &Demo) -> anyhow::Result<Ending> {
    let report = read_report(out)?;
    let path = out.join("demo.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&story.json())?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    match output {
        Format::Text => print!("\n{}\n{}", report.headline, story.table(out)),
        Format::Json => println!("{:#}", story.json()),
    }
    Ok(Ending::of(report.verdict))
}

impl Story<'_> {
    fn json(&self) -> serde_json::Value {
        let recipe = &self.drilling.recipe;
        json!({
            "before": self.before,
            "after": self.after,
            "twin": self.twin,
            "suspects": self.detected.suspects,
            "region_iou": self.detected.region_iou,
            "phases": phases_json(&phase_seconds(self.view)),
            "workers": self.drilling.workers,
            "seed": recipe.seed,
            "attack": recipe.attack,
            "target": recipe.target,
        })
    }

    fn table(&self, out: &Path) -> String {
        let row = |name: &str, pick: fn(&Judgement) -> Option<f64>| {
            let cell = |judgement| pick(judgement).map_or_else(|| "-".to_owned(), percent);
            let cells = [&self.before, &self.after, &self.twin].map(cell);
            format!("  {name:<16}{:>10}{:>10}{:>12}\n", cells[0], cells[1], cells[2])
        };
        let Detected { suspects: Detection { auroc, precision, recall }, region_iou, .. } = &self.detected;
        let region = region_iou.map_or_else(String::new, |iou| format!(", regions on the patch (IoU) {iou:.2}"));
        format!(
            "\n  {:<16}{:>10}{:>10}{:>12}\n{}{}\n  suspects        precision {}, recall {}, AUROC {auroc:.4}{region}\n\n{}\n  report: {}\n",
            "",
            "before",
            "after",
            "clean twin",
            row("clean accuracy", |j| Some(j.clean_accuracy)),
            row("attack success", |j| j.attack_success),
            percent(*precision),
            percent(*recall),
            phase_table(&phase_seconds(self.view)),
            out.join("report.html").display(),
        )
    }
}

#[cfg(test)]
mod tests {
    use lethe_redteam::attack::Attack;
    use lethe_redteam::drill::DrillFolder;

    use super::*;

    #[test]
    fn the_json_is_what_machines_expect() {
        let drilling = Drilling {
            recipe: Recipe::usual(Attack::Blended, 2),
            folder: DrillFolder::new("/drill".as_ref()),
            workers: 2,
        };
        let judged = |share| Judgement { clean_accuracy: share, attack_success: Some(share) };
        let view = AuditView::default();
        let story = Story {
            drilling: &drilling,
            view: &view,
            before: judged(0.75),
            after: judged(0.5),
            twin: judged(0.25),
            detected: Detected {
                suspects: Detection { auroc: 1.0, precision: 0.5, recall: 0.25 },
                others: BTreeMap::new(),
                flagged: 4,
                region_iou: Some(0.375),
            },
        };
        let expected = json!({
            "before": {"clean_accuracy": 0.75, "attack_success": 0.75},
            "after": {"clean_accuracy": 0.5, "attack_success": 0.5},
            "twin": {"clean_accuracy": 0.25, "attack_success": 0.25},
            "suspects": {"auroc": 1.0, "precision": 0.5, "recall": 0.25},
            "region_iou": 0.375, "phases": [], "workers": 2, "seed": 2, "attack": "blended", "target": 5,
        });
        assert_eq!(story.json(), expected);
        assert!(story.table("out".as_ref()).contains("75.0 %"));
    }

    #[test]
    fn only_an_interrupted_demo_goes_on() {
        let out = tempfile::tempdir().expect("makes a folder");
        let spec = |seed| {
            let folder = DrillFolder::new("/drill".as_ref());
            specs::audit(&Recipe::usual(Attack::Badnet, seed), &folder, 2).expect("is a good recipe")
        };
        let path = out.path().join("audit.toml");
        assert!(!goes_on(&spec(1), &path, out.path()), "nothing is there");
        write_spec(&spec(1), &path).expect("writes");
        assert!(goes_on(&spec(1), &path, out.path()));
        assert!(!goes_on(&spec(2), &path, out.path()), "another spec");
        std::fs::write(out.path().join("demo.json"), "{}").expect("writes");
        assert!(!goes_on(&spec(1), &path, out.path()), "finished");
    }
}
