//! The reference set as what densities are measured against, and which of its pairs a scored pair is itself.
//!
//! It must never compare a pair with itself: a pair that was drawn for the reference set would look crowded.

use std::collections::BTreeMap;

use lethe_common::fault::Fault;
use lethe_model::density::{Densities, NEIGHBOURS, Reference};
use lethe_model::tch::Tensor;

use super::fault::model_fault;
use super::reference::Bank;
use super::tensors::values;

/// A pair's name ([`super::reference::name_of`]), by its bits.
type Name = [u32; 2];

pub struct Density {
    reference: Reference,
    /// The places of the reference set's pairs by name; keys that occur twice in a shard share one.
    places: BTreeMap<Name, Vec<u32>>,
}

impl Density {
    pub fn of(bank: &Bank) -> Result<Self, Fault> {
        let (images, texts) = (bank.required("image_features")?, bank.required("text_features")?);
        let reference = Reference::of(&images, &texts, NEIGHBOURS).map_err(model_fault)?;
        let mut places: BTreeMap<Name, Vec<u32>> = BTreeMap::new();
        for (place, name) in (0_u32..).zip(names(&bank.required("name")?)?) {
            places.entry(name).or_default().push(place);
        }
        Ok(Self { reference, places })
    }

    /// The densities of a batch's images, `[B, D]` as the tower gives them, with names `[B, 2]`.
    pub fn of_batch(&self, images: &Tensor, names_of_batch: &Tensor) -> Result<Densities, Fault> {
        let none: &[u32] = &[];
        let names = names(names_of_batch)?;
        let own: Vec<&[u32]> = names.iter().map(|name| self.places.get(name).map_or(none, Vec::as_slice)).collect();
        self.reference.densities(images, &own).map_err(model_fault)
    }
}

fn names(tensor: &Tensor) -> Result<Vec<Name>, Fault> {
    let flat = values(&tensor.f_reshape([-1]).map_err(super::tensors::torch)?)?;
    Ok(flat.chunks_exact(2).map(|name| [name[0].to_bits(), name[1].to_bits()]).collect())
}
