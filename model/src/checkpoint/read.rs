//! From the tensors of a file to a model.
//!
//! It must never allocate a model before the tensors were found to fit it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::naming::{Part, Piece};
use super::{Form, Tensors, carried, fit, naming_of};
use crate::clip::Clip;
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};

pub(super) fn clip(config: &ModelConfig, tensors: &Tensors<'_>) -> Result<Clip> {
    let pieces = fit::pieces(config, tensors)?;
    let mut form =
        Form { naming: naming_of(tensors), kinds: BTreeMap::new(), wide: BTreeMap::new(), carried: Vec::new() };
    for known in carried::known(config, form.naming) {
        if let Some(tensor) = tensors.get(&known.name) {
            form.carried.push(known.check(tensor, config)?);
        }
    }
    let mut clip = Clip::blank(config, (Kind::Float, Device::Cpu))?;
    for piece in &pieces {
        fill(&clip, piece, tensors, &mut form)?;
    }
    clip.form = Arc::new(form);
    Ok(clip)
}

fn fill(clip: &Clip, piece: &Piece, tensors: &Tensors<'_>, form: &mut Form) -> Result<()> {
    let Some(view) = tensors.get(&piece.name) else {
        return Err(ModelError::Index(format!("tensor {} is gone", piece.name)));
    };
    let kind = fit::kind(&piece.name, view.dtype())?;
    // As the model has them: what f32 cannot hold is infinite here.
    let values = Tensor::f_from_data_size(view.data(), &piece.shape, kind)?.f_to_kind(Kind::Float)?;
    if values.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
        return Err(ModelError::NotFinite { name: piece.name.clone() });
    }
    if piece.slot.ends_with(".running_var") && values.f_min()?.f_double_value(&[])? < 0.0 {
        return Err(ModelError::NegativeVariance { name: piece.name.clone() });
    }
    part_of(&clip.slot(&piece.slot), piece.part)?.f_copy_(&values)?;
    if kind == Kind::Double {
        form.wide.insert(piece.name.clone(), view.data().to_vec());
    }
    form.kinds.insert(piece.name.clone(), kind);
    Ok(())
}

/// A view of the part of a parameter that a tensor of the file is, in the file's shape.
pub(super) fn part_of(parameter: &Tensor, part: Part) -> Result<Tensor> {
    let whole = parameter.f_detach()?;
    Ok(match part {
        Part::Whole => whole,
        Part::Third(third) => {
            let rows = whole.size()[0] / 3;
            whole.f_narrow(0, third * rows, rows)?
        }
        Part::Transposed => whole.f_transpose(0, 1)?,
    })
}
