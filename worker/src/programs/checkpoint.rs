//! The models a program works with: the suspect, the trusted where there is one, and those of earlier phases.

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
pub fn suspect(spec: &Spec) -> Result<Clip, Fault> {
    let path = spec.suspect_checkpoint().ok_or_else(|| Fault::fatal("the spec names no checkpoint"))?;
    load(spec, path)
}

/// theta_0, where the operator has some.
pub fn trusted(spec: &Spec) -> Result<Option<Clip>, Fault> {
    spec.model.trusted.as_deref().map(|path| load(spec, path)).transpose()
}

/// A checkpoint that an earlier gang left.
pub fn of_phase(ctx: &TaskContext<'_>, phase: &str, name: &str) -> Result<Clip, Fault> {
    Clip::load(&config(&ctx.spec)?, &inputs::only(ctx, phase, name)?).map_err(model_fault)
}

fn load(spec: &Spec, path: &Path) -> Result<Clip, Fault> {
    Clip::load(&config(spec)?, &read(path)?).map_err(|e| at(path, e))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|e| Fault::fatal(format!("cannot read {}: {e}", path.display())))
}

fn at(path: &Path, error: lethe_model::ModelError) -> Fault {
    Fault::fatal(format!("{}: {error}", path.display()))
}
