//! Predicted against measured: the plan's arithmetic beside the times of an audit that ran.
//!
//! It must never fit to what it is compared with: a machine's speed comes from another result.

use std::path::Path;

use lethe_common::record::SPEC;
use lethe_common::spec::{PlanName, Spec};
use lethe_evidence::artifacts::{self, Report};
use lethe_model::ModelConfig;

use crate::exit::bad_input;

use super::inputs::{Inputs, input};
use super::phases::{Arithmetic, Phase};
use super::shape::Shape;
use super::work::{Recipe, Work};

/// What of a result the comparison needs.
pub struct Result {
    pub name: String,
    pub work: Work,
    pub shape: Shape,
    pub pair_bytes: f64,
    /// Each phase that the report lists, and its seconds.
    pub took: Vec<(String, f64)>,
}

/// One phase, both ways.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Row {
    pub phase: String,
    pub predicted: f64,
    pub measured: f64,
}

impl Result {
    /// # Errors
    /// Bad input: the folder holds no audit's report, spec and model.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = |name: &str| {
            let path = folder.join(name);
            let told =
                |e| bad_input(format!("{}: {e}; expected the result folder of a finished audit", path.display()));
            std::fs::read(&path).map_err(told).map(|bytes| (bytes, path))
        };
        let (report, path) = file("report.json")?;
        let report: Report = artifacts::decode("report.json", &report)
            .map_err(|e| bad_input(format!("{}: {e}; use the release that wrote it", path.display())))?;
        let (spec, path) = file(SPEC)?;
        let spec: Spec = serde_json::from_slice(&spec)
            .map_err(|e| bad_input(format!("{}: {e}; use the release that wrote it", path.display())))?;
        if spec.audit.plan != PlanName::Ubt || report.samples.read == 0 || report.shards == 0 {
            return Err(bad_input(format!("{} is of no audit that read anything", folder.display())));
        }
        if report.since.as_ref().is_some_and(|since| since.kept > 0) {
            let text =
                format!("{} kept scores of an earlier audit; expected one that scored every shard", folder.display());
            return Err(bad_input(text));
        }
        let (config, path) = file("clean.json")?;
        let config = String::from_utf8_lossy(&config);
        ModelConfig::from_json(&config).map_err(|e| bad_input(format!("{}: {e}", path.display())))?;
        Ok(Self {
            name: folder.display().to_string(),
            work: work(&spec, &report),
            shape: Shape::read(&path)?,
            pair_bytes: report.data_bytes as f64 / report.samples.read as f64,
            took: report.phases.into_iter().map(|phase| (phase.name, phase.seconds)).collect(),
        })
    }

    fn seconds(&self, phase: &str) -> Option<f64> {
        self.took.iter().find(|(name, _)| name == phase).map(|(_, seconds)| *seconds)
    }

    fn predicted(&self, inputs: &Inputs) -> Vec<Phase> {
        let mut inputs = inputs.clone();
        inputs.pair_bytes = input(self.pair_bytes, "measured: the result's");
        Arithmetic { work: &self.work, shape: &self.shape, inputs: &inputs }.phases()
    }
}

fn work(spec: &Spec, report: &Report) -> Work {
    let workers = f64::from(spec.workers.count);
    Work {
        samples: report.samples.read as f64,
        shards: report.shards as f64,
        workers,
        gang: workers,
        recipe: Recipe::of(spec),
    }
}

/// The phases that both have.
pub fn compare(of: &Result, inputs: &Inputs) -> Vec<Row> {
    rows(of, inputs, |_| 1.0)
}

/// With the speed of the machine that another result shows: how fast it scores, and how far each phase was from the arithmetic.
///
/// # Errors
/// Bad input: another model, which is another amount of everything.
pub fn compare_calibrated(of: &Result, by: &Result, inputs: &Inputs) -> anyhow::Result<Vec<Row>> {
    if of.shape != by.shape {
        return Err(bad_input(format!(
            "{} and {} are of different models; calibrate by an audit of the same",
            by.name, of.name
        )));
    }
    let inputs = scoring_as(by, inputs)?;
    let there = by.predicted(&inputs);
    let factor = |phase: &str| {
        let predicted = there.iter().find(|p| p.name == phase).map_or(0.0, |p| p.seconds);
        by.seconds(phase).filter(|_| predicted > 0.0).map_or(1.0, |seconds| seconds / predicted)
    };
    Ok(rows(of, &inputs, factor))
}

/// The inputs of a machine that scores as the result's did.
fn scoring_as(by: &Result, inputs: &Inputs) -> anyhow::Result<Inputs> {
    let seconds = by.seconds("score").filter(|seconds| *seconds > 0.0);
    let seconds = seconds.ok_or_else(|| bad_input(format!("{} has no time of the phase score", by.name)))?;
    let pairs = by.work.rounds() * by.work.shard_samples() / seconds;
    let mut inputs = inputs.clone();
    inputs.flops = input(pairs * by.shape.score(), &format!("measured: {}", by.name));
    Ok(inputs)
}

fn rows(of: &Result, inputs: &Inputs, factor: impl Fn(&str) -> f64) -> Vec<Row> {
    let predicted = of.predicted(inputs);
    let row = |phase: &Phase| {
        let measured = of.seconds(phase.name)?;
        Some(Row { phase: phase.name.to_owned(), predicted: factor(phase.name) * phase.seconds, measured })
    };
    predicted.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::phases::total;
    use super::*;
    use crate::arguments::{Figures, Place};

    fn figures() -> Figures {
        Figures {
            rate: None,
            tflops: None,
            gpu_gb: None,
            decoders: None,
            decode_rate: None,
            shard_samples: None,
            pair_bytes: None,
            read_gb_s: None,
            storage_gb_s: None,
            gang: None,
            shards: Place::Folder,
            blobs: Place::Folder,
        }
    }

    /// A result of a machine for which the arithmetic is exact, but for one phase that takes `slow` times as long.
    fn result(shards: f64, slow: f64) -> Result {
        let shape = Shape::find("ViT-B-32").expect("is known");
        let work = Work { samples: 1_000.0 * shards, shards, workers: 2.0, gang: 2.0, recipe: Recipe::usual() };
        let mut found = Result { name: "a".to_owned(), work, shape, pair_bytes: 1e4, took: Vec::new() };
        let inputs = Inputs::of(&figures(), &found.shape, 2);
        let phases = found.predicted(&inputs);
        let slowed = |phase: &Phase| phase.seconds * if phase.name == "report" { slow } else { 1.0 };
        found.took = phases.iter().map(|phase| (phase.name.to_owned(), slowed(phase))).collect();
        found
    }

    #[test]
    fn a_machine_that_is_as_the_arithmetic_has_it_is_predicted() {
        let large = result(20.0, 1.0);
        let inputs = Inputs::of(&figures(), &large.shape, 2);
        let rows = compare(&large, &inputs);
        assert_eq!(rows.len(), large.took.len());
        assert!(rows.iter().all(|row| (row.predicted - row.measured).abs() <= 1e-9 * row.measured), "{rows:?}");
        assert!((total(&large.predicted(&inputs)) - large.took.iter().map(|(_, s)| s).sum::<f64>()).abs() < 1e-6);
    }

    #[test]
    fn a_phase_that_is_slow_on_a_machine_is_so_at_another_size() {
        let (small, large) = (result(5.0, 3.0), result(20.0, 3.0));
        let inputs = Inputs::of(&figures(), &large.shape, 2);
        let report = |rows: Vec<Row>| rows.into_iter().find(|row| row.phase == "report").expect("is there");
        let blind = report(compare(&large, &inputs));
        assert!((blind.measured / blind.predicted - 3.0).abs() < 1e-6, "{blind:?}");
        let told = report(compare_calibrated(&large, &small, &inputs).expect("compares"));
        assert!((told.measured / told.predicted - 1.0).abs() < 1e-6, "{told:?}");
    }

    #[test]
    fn another_model_calibrates_nothing() {
        let (mut small, large) = (result(5.0, 1.0), result(20.0, 1.0));
        small.shape = Shape::find("ViT-L-14").expect("is known");
        let error =
            compare_calibrated(&large, &small, &Inputs::of(&figures(), &large.shape, 2)).expect_err("is refused");
        assert!(error.is::<crate::exit::BadInput>(), "{error}");
    }
}
