//! The models a program works with, on its device: the suspect, the trusted where there is one, and those of earlier phases.

use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_model::{Clip, ModelConfig};
use std::path::Path;

use super::fault::model_fault;
use super::inputs;
use crate::task::TaskContext;

/// The architecture that the spec names.
pub fn config(spec: &Spec) -> Result<ModelConfig, Fault> {
    let text = read(&spec.model.config)?;
    ModelConfig::from_json(&String::from_utf8_lossy(&text)).map_err(|e| at(&spec.model.config, e))
}

/// theta_p, the checkpoint under suspicion.
pub fn suspect(ctx: &TaskContext<'_>) -> Result<Clip, Fault> {
    let path = ctx.spec.suspect_checkpoint().ok_or_else(|| Fault::fatal("the spec names no checkpoint"))?;
    load(ctx, path)
}

/// theta_0, where the operator has some.
pub fn trusted(ctx: &TaskContext<'_>) -> Result<Option<Clip>, Fault> {
    ctx.spec.model.trusted.as_deref().map(|path| load(ctx, path)).transpose()
}

/// A checkpoint that an earlier gang left.
pub fn of_phase(ctx: &TaskContext<'_>, phase: &str, name: &str) -> Result<Clip, Fault> {
    placed(ctx, Clip::load(&config(&ctx.spec)?, &inputs::only(ctx, phase, name)?).map_err(model_fault)?)
}

/// First weights, drawn from the audit's seed.
pub fn fresh(ctx: &TaskContext<'_>) -> Result<Clip, Fault> {
    placed(ctx, Clip::init(&config(&ctx.spec)?, ctx.spec.audit.seed).map_err(model_fault)?)
}

fn load(ctx: &TaskContext<'_>, path: &Path) -> Result<Clip, Fault> {
    placed(ctx, Clip::load(&config(&ctx.spec)?, &read(path)?).map_err(|e| at(path, e))?)
}

/// On the task's device. What goes wrong with a device is not the model's fault.
fn placed(ctx: &TaskContext<'_>, clip: Clip) -> Result<Clip, Fault> {
    clip.into_device(ctx.device).map_err(|e| Fault::retryable(format!("cannot bring a model to {:?}: {e}", ctx.device)))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|e| Fault::fatal(format!("cannot read {}: {e}", path.display())))
}

fn at(path: &Path, error: lethe_model::ModelError) -> Fault {
    Fault::fatal(format!("{}: {error}", path.display()))
}
