//! Whether tensors are those that a config wants: every one there in its shape and dtype, and no other.
//!
//! It must never accept a tensor that nothing reads: it may be the sign of another model.

use std::collections::BTreeSet;

use safetensors::tensor::{Dtype, TensorView};
use tch::Kind;

use super::naming::{Naming, Piece};
use super::{Tensors, carried, naming_of};
use crate::config::{ModelConfig, infer};
use crate::error::{ModelError, Result};
use crate::layout::{Slot, layout, statistics};

/// The tensors of the file that the config's weights and statistics are.
///
/// # Errors
/// `Unsupported` where the file's names have no such tower; `MissingTensors`, `WrongShape`, `WrongDtype`, `UnknownTensors`.
pub(super) fn pieces(config: &ModelConfig, tensors: &Tensors<'_>) -> Result<Vec<Piece>> {
    let naming = naming_of(tensors);
    let mut pieces = Vec::new();
    for slot in layout(config).iter().chain(&statistics(config)) {
        pieces.extend(pieces_of(naming, slot)?);
    }
    let missing: Vec<&Piece> = pieces.iter().filter(|piece| !tensors.contains_key(&piece.name)).collect();
    let present = pieces.iter().filter_map(|piece| Some((piece, tensors.get(&piece.name)?)));
    present.clone().try_for_each(|(piece, tensor)| fits(piece, tensor, tensors))?;
    let unknown = unknown(config, naming, tensors, &pieces);
    // Names of another kind of checkpoint explain missing ones, so they come first when nothing fits.
    if let Some(first) = missing.first().filter(|_| missing.len() < pieces.len() || unknown.is_empty()) {
        return Err(ModelError::MissingTensors {
            names: missing.iter().map(|piece| piece.name.clone()).collect(),
            shape: first.shape.clone(),
            of: pieces.len(),
            advice: advice(tensors),
        });
    }
    if unknown.is_empty() {
        Ok(pieces)
    } else {
        Err(ModelError::UnknownTensors { names: unknown, advice: advice(tensors) })
    }
}

fn pieces_of(naming: Naming, slot: &Slot) -> Result<Vec<Piece>> {
    let pieces = naming.pieces(slot);
    if pieces.is_empty() {
        return Err(ModelError::Unsupported {
            what: "a ResNet image tower, where the checkpoint has Hugging Face's names".to_owned(),
            advice: "transformers' CLIPModel has a ViT; give the checkpoint's own config.json",
        });
    }
    Ok(pieces)
}

fn fits(piece: &Piece, tensor: &TensorView<'_>, tensors: &Tensors<'_>) -> Result<()> {
    let have: Vec<i64> = tensor.shape().iter().map(|side| *side as i64).collect();
    if have != piece.shape {
        let (name, want) = (piece.name.clone(), piece.shape.clone());
        return Err(ModelError::WrongShape { name, have, want, advice: advice(tensors) });
    }
    kind(&piece.name, tensor.dtype()).map(|_| ())
}

fn unknown(config: &ModelConfig, naming: Naming, tensors: &Tensors<'_>, pieces: &[Piece]) -> Vec<String> {
    let carried = carried::known(config, naming);
    let known: BTreeSet<&str> =
        pieces.iter().map(|piece| piece.name.as_str()).chain(carried.iter().map(|known| known.name.as_str())).collect();
    tensors.keys().filter(|name| !known.contains(name.as_str())).cloned().collect()
}

/// What the tensors themselves say that they are.
fn advice(tensors: &Tensors<'_>) -> String {
    let shape = |tensor: &TensorView<'_>| tensor.shape().iter().map(|side| *side as i64).collect();
    let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), shape(tensor))).collect();
    match infer::seen(&shapes, naming_of(&shapes)) {
        Ok(seen) => format!("is this the config of this checkpoint, whose tensors are those of {seen}"),
        Err(_) => "is this the config of this checkpoint".to_owned(),
    }
}

pub(super) fn kind(name: &str, dtype: Dtype) -> Result<Kind> {
    match dtype {
        Dtype::F64 => Ok(Kind::Double),
        Dtype::F32 => Ok(Kind::Float),
        Dtype::F16 => Ok(Kind::Half),
        Dtype::BF16 => Ok(Kind::BFloat16),
        other => Err(ModelError::WrongDtype { name: name.to_owned(), dtype: format!("{other:?}") }),
    }
}
