//! `lethe plan`: how long an audit of some size would take, what bounds each phase, and what it needs.
//!
//! It must never start anything, nor pass an assumption off as measured: every input is printed with where it comes from.

mod inputs;
mod measured;
mod phases;
mod shape;
mod show;
mod sizes;
mod words;
mod work;

use std::path::Path;

use anyhow::Context;

use crate::arguments::{Figures, Format, Plan};
use crate::exit::{Ending, bad_input};

use inputs::Inputs;
use phases::{Arithmetic, Phase, total};
use shape::Shape;
use sizes::Need;
use work::{Recipe, Work};

/// More than any cluster has.
const MOST_GPUS: u32 = 1 << 20;

/// A plan, worked out.
pub struct Planned {
    work: Work,
    shape: Shape,
    inputs: Inputs,
    phases: Vec<Phase>,
    needs: Vec<Need>,
    /// The time that was asked for, where the GPUs were not given.
    within: Option<f64>,
}

pub fn run(arguments: &Plan) -> anyhow::Result<Ending> {
    match &arguments.measured {
        Some(result) => compare(arguments, result)?,
        None => plan(arguments)?,
    }
    Ok(Ending::Accepted)
}

fn plan(arguments: &Plan) -> anyhow::Result<()> {
    let shape = Shape::find(arguments.model.as_deref().context("clap asks for --model")?)?;
    let samples = arguments.samples.context("clap asks for --samples")?;
    let figures = &arguments.figures;
    let planned = match (arguments.gpus, arguments.within) {
        (Some(gpus), _) => planned(samples, &shape, figures, gpus),
        (None, within) => fewest(samples, &shape, figures, within.context("clap asks for --gpus or --within")?)?,
    };
    match arguments.output {
        Format::Text => print!("{}", show::text(&planned)),
        Format::Json => println!("{:#}", show::json(&planned)),
    }
    Ok(())
}

fn planned(samples: u64, shape: &Shape, figures: &Figures, gpus: u32) -> Planned {
    let inputs = Inputs::of(figures, shape, gpus);
    let work = Work {
        samples: samples as f64,
        shards: (samples as f64 / inputs.shard_samples.value).ceil(),
        workers: gpus.into(),
        gang: inputs.gang.value.min(gpus.into()),
        recipe: Recipe::usual(),
    };
    let phases = Arithmetic { work: &work, shape, inputs: &inputs }.phases();
    let needs = sizes::needs(&work, shape, &inputs);
    Planned { work, shape: shape.clone(), inputs, phases, needs, within: None }
}

/// The fewest GPUs that end in time.
fn fewest(samples: u64, shape: &Shape, figures: &Figures, within: f64) -> anyhow::Result<Planned> {
    let seconds = |gpus| total(&planned(samples, shape, figures, gpus).phases);
    let (mut low, mut high) = (0, MOST_GPUS);
    if seconds(high) > within {
        let least = words::time(seconds(high));
        return Err(bad_input(format!(
            "--within {}: the phases that no GPU makes shorter take {least}; give more time, larger shards (--shard-samples), or ask with --gpus what bounds them",
            words::time(within)
        )));
    }
    // `high` is always enough, `low` never.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if seconds(middle) > within { low = middle } else { high = middle }
    }
    Ok(Planned { within: Some(within), ..planned(samples, shape, figures, high) })
}

fn compare(arguments: &Plan, folder: &Path) -> anyhow::Result<()> {
    let result = measured::Result::read(folder)?;
    let inputs = Inputs::of(&arguments.figures, &result.shape, result.work.workers as u32);
    let rows = match &arguments.calibrate {
        Some(by) => measured::compare_calibrated(&result, &measured::Result::read(by)?, &inputs)?,
        None => measured::compare(&result, &inputs),
    };
    match arguments.output {
        Format::Text => print!("{}", show::compared(&rows)),
        Format::Json => println!("{:#}", show::compared_json(&rows)),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
