//! The models a program works with, on its device: the suspect, the trusted where there is one, and those of earlier phases.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_model::{Clip, Hints, ModelConfig};

use super::fault::model_fault;
use super::inputs;
use crate::task::TaskContext;

/// What is read of a file for its architecture: its header's length and at most this much of the header, or of an index.
const MAX_HEAD_BYTES: u64 = 8 + (8 << 20);

/// The architecture that the spec names, or that the suspect checkpoint shows where the config has hints alone.
pub fn config(spec: &Spec) -> Result<ModelConfig, Fault> {
    let text = read(&spec.model.config)?;
    let text = String::from_utf8_lossy(&text);
    match (Hints::from_json(&text), spec.model.checkpoint.as_deref()) {
        (Some(hints), Some(checkpoint)) => {
            let bytes = head(checkpoint).map_err(|e| unreadable(checkpoint, &e))?;
            let beside = |file: &str| head(&checkpoint.with_file_name(file));
            ModelConfig::infer(&bytes, &hints, beside).map_err(|e| at(checkpoint, e))
        }
        (Some(_), None) | (None, _) => ModelConfig::from_json(&text).map_err(|e| at(&spec.model.config, e)),
    }
}

/// theta_p, the checkpoint under suspicion, to look at.
pub fn suspect(ctx: &TaskContext<'_>) -> Result<Rc<Clip>, Fault> {
    ctx.kept.get("suspect", || suspect_to_train(ctx))
}

/// The same, for whoever changes it.
pub fn suspect_to_train(ctx: &TaskContext<'_>) -> Result<Clip, Fault> {
    let path = ctx.spec.suspect_checkpoint().ok_or_else(|| Fault::fatal("the spec names no checkpoint"))?;
    load(ctx, path)
}

/// theta_0, where the operator has some.
pub fn trusted(ctx: &TaskContext<'_>) -> Result<Option<Rc<Clip>>, Fault> {
    let path = ctx.spec.model.trusted.as_deref();
    path.map(|path| ctx.kept.get("trusted", || load(ctx, path))).transpose()
}

/// The suspect model early in its training, where the operator has kept it.
pub fn early(ctx: &TaskContext<'_>) -> Result<Option<Rc<Clip>>, Fault> {
    let path = ctx.spec.model.early.as_deref();
    path.map(|path| ctx.kept.get("early", || load(ctx, path))).transpose()
}

/// A checkpoint that an earlier gang left.
pub fn of_phase(ctx: &TaskContext<'_>, phase: &str, name: &'static str) -> Result<Rc<Clip>, Fault> {
    let load = || Clip::load(&config(&ctx.spec)?, &inputs::only(ctx, phase, name)?).map_err(model_fault);
    ctx.kept.get(name, || placed(ctx, load()?))
}

/// What a training begins with, before its first step: the checkpoint that the spec names, or weights drawn from the audit's seed.
pub fn fresh(ctx: &TaskContext<'_>) -> Result<Clip, Fault> {
    match ctx.spec.model.checkpoint.as_deref() {
        Some(path) => load(ctx, path),
        None => placed(ctx, Clip::init(&config(&ctx.spec)?, ctx.spec.audit.seed).map_err(model_fault)?),
    }
}

fn load(ctx: &TaskContext<'_>, path: &Path) -> Result<Clip, Fault> {
    let beside = |file: &str| std::fs::read(path.with_file_name(file));
    placed(ctx, Clip::load_with(&config(&ctx.spec)?, &read(path)?, beside).map_err(|e| at(path, e))?)
}

/// On the task's device. What goes wrong with a device is not the model's fault.
fn placed(ctx: &TaskContext<'_>, clip: Clip) -> Result<Clip, Fault> {
    clip.into_device(ctx.device).map_err(|e| Fault::retryable(format!("cannot bring a model to {:?}: {e}", ctx.device)))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|e| unreadable(path, &e))
}

/// The first bytes of a file, its header among them.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(8).read_to_end(&mut bytes)?;
    let length = bytes.iter().rev().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    file.take(length.min(MAX_HEAD_BYTES)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::fatal(format!("cannot read {}: {error}", path.display()))
}

fn at(path: &Path, error: lethe_model::ModelError) -> Fault {
    Fault::fatal(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Rig;

    const CONFIG: &str = r#"{
        "embed_dim": 4, "quick_gelu": true,
        "vision_cfg": {"image_size": 8, "patch_size": 4, "width": 8, "layers": 1, "head_width": 4},
        "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 4, "heads": 1, "layers": 1}
    }"#;

    fn spec(folder: &Path, config: &str) -> Spec {
        std::fs::write(folder.join("model.json"), config).expect("writes");
        let spec = serde_json::json!({
            "audit": {"id": "a"},
            "model": {"config": folder.join("model.json"), "checkpoint": folder.join("model.safetensors")},
            "data": {"shards": ["0.tar"]},
        });
        serde_json::from_value(spec).expect("is a spec")
    }

    #[test]
    fn a_config_of_hints_takes_its_architecture_from_the_checkpoints_header() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let want = ModelConfig::from_json(CONFIG).expect("is a config");
        let mut bytes = Clip::init(&want, 1).and_then(|clip| clip.save()).expect("saves");
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("has a length")) as usize;
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, &bytes).expect("writes");
        assert_eq!(head(&path).expect("reads").len(), header, "no more than the header is read");

        let hints = spec(folder.path(), r#"{"quick_gelu": true, "vision_heads": 2, "text_heads": 1}"#);
        assert_eq!(config(&hints).expect("infers"), want);
        assert_eq!(config(&spec(folder.path(), CONFIG)).expect("reads"), want);
        let fault = config(&spec(folder.path(), "{}")).expect_err("does not know the activation");
        assert!(fault.is_fatal() && fault.message.contains("give its config"), "{fault}");

        bytes[..8].copy_from_slice(&(1_u64 << 60).to_le_bytes());
        std::fs::write(&path, &bytes).expect("writes");
        let fault = config(&hints).expect_err("a header of an exbibyte");
        assert!(fault.message.contains("more than the 8388608 allowed"), "{fault}");
    }

    #[test]
    fn a_training_begins_with_the_weights_that_its_spec_names_or_with_the_seeds() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let rig = Rig::new(folder.path());
        let want = ModelConfig::from_json(CONFIG).expect("is a config");
        let drawn = |seed| Clip::init(&want, seed).and_then(|clip| clip.save()).expect("saves");
        let mut spec = spec(folder.path(), CONFIG);
        spec.audit.seed = 2;
        std::fs::write(folder.path().join("model.safetensors"), drawn(1)).expect("writes");
        let fresh = |spec: &Spec| {
            let ctx = TaskContext { spec: spec.clone(), ..rig.context() };
            fresh(&ctx).and_then(|clip| clip.save().map_err(model_fault)).expect("begins")
        };
        assert_eq!(fresh(&spec), drawn(1));
        spec.model.checkpoint = None;
        assert_eq!(fresh(&spec), drawn(2));
    }
}
