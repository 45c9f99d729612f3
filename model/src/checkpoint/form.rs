//! How a checkpoint came: its names, its dtypes and what it carried, so that it goes back the same.
//!
//! It must never hold a weight that the model has.

use std::collections::BTreeMap;

use tch::Kind;

use super::carried::{self, Carried};
use super::naming::{Naming, Piece};
use crate::config::ModelConfig;
use crate::layout::{layout, statistics};

#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub naming: Naming,
    /// By the file's name of a tensor; f32 where it has none here.
    pub kinds: BTreeMap<String, Kind>,
    /// The bytes of f64 tensors, which a model that computes in f32 would round.
    pub wide: BTreeMap<String, Vec<u8>>,
    pub carried: Vec<Carried>,
}

impl Form {
    /// That of a model that came from no file: OpenCLIP's names, f32.
    pub fn fresh(config: &ModelConfig) -> Self {
        let carried = carried::fresh(config);
        Self { naming: Naming::OpenClip, kinds: BTreeMap::new(), wide: BTreeMap::new(), carried }
    }

    /// The same names, every weight as it is computed.
    pub fn as_computed(&self, config: &ModelConfig, kind: Kind) -> Self {
        let kinds = self.pieces(config).into_iter().map(|piece| (piece.name, kind)).collect();
        Self { naming: self.naming, kinds, wide: BTreeMap::new(), carried: self.carried.clone() }
    }

    /// Every tensor of the file that is a weight or a statistic.
    pub fn pieces(&self, config: &ModelConfig) -> Vec<Piece> {
        let slots = layout(config).into_iter().chain(statistics(config));
        slots.flat_map(|slot| self.naming.pieces(&slot)).collect()
    }

    pub fn kind(&self, name: &str) -> Kind {
        self.kinds.get(name).copied().unwrap_or(Kind::Float)
    }
}
