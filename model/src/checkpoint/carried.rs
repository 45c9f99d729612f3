//! Tensors that a checkpoint carries beside its weights: counters and sizes, which are checked, kept and written back.
//!
//! It must never let one change what a model computes: a value that says otherwise than the config is refused.

use safetensors::tensor::{Dtype, TensorView};

use super::naming::Naming;
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::layout::statistics;

/// The scalars that only OpenAI's own checkpoints have; those were trained with the quick GELU.
const OPENAI_SCALAR: &str = "input_resolution";

/// Its bytes as they came.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    pub name: String,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// What a carried tensor may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub name: String,
    meaning: Meaning,
}

#[derive(Debug, Clone, PartialEq)]
enum Meaning {
    /// One number that the config has too.
    Is(i64),
    /// 0, 1, 2 and so on.
    CountsTo(i64),
    /// One number without effect.
    Any,
}

/// Every tensor that a checkpoint of these names and this config may carry; none has to be there.
pub(super) fn known(config: &ModelConfig, naming: Naming) -> Vec<Known> {
    let known = |name: &str, meaning| Known { name: name.to_owned(), meaning };
    let (vision, text) = (&config.vision, &config.text);
    match naming {
        Naming::OpenClip | Naming::CustomText => {
            let sizes = [
                known(OPENAI_SCALAR, Meaning::Is(vision.image_size)),
                known("context_length", Meaning::Is(text.context_length)),
                known("vocab_size", Meaning::Is(text.vocab_size)),
            ];
            sizes.into_iter().chain(counters(config).map(|name| known(&name, Meaning::Any))).collect()
        }
        Naming::HuggingFace => vec![
            known("text_model.embeddings.position_ids", Meaning::CountsTo(text.context_length)),
            known("vision_model.embeddings.position_ids", Meaning::CountsTo(vision.patches() + 1)),
        ],
    }
}

/// How many batches each batch norm has seen; PyTorch writes it, and nothing here reads it.
fn counters(config: &ModelConfig) -> impl Iterator<Item = String> {
    let layers =
        statistics(config).into_iter().filter_map(|slot| slot.name.strip_suffix(".running_var").map(str::to_owned));
    layers.map(|layer| format!("{layer}.num_batches_tracked"))
}

/// The counters of a model that has been nowhere, so that what is written has all that PyTorch writes.
pub(crate) fn fresh(config: &ModelConfig) -> Vec<Carried> {
    counters(config).map(|name| Carried { name, shape: Vec::new(), bytes: vec![0; 8] }).collect()
}

impl Known {
    /// # Errors
    /// `WrongDtype`, `WrongShape`, `Contradiction`.
    pub fn check(&self, tensor: &TensorView<'_>, config: &ModelConfig) -> Result<Carried> {
        if tensor.dtype() != Dtype::I64 {
            let dtype = format!("{:?}", tensor.dtype());
            return Err(ModelError::WrongCounter { name: self.name.clone(), dtype });
        }
        self.check_shape(tensor.shape())?;
        let values = tensor.data().chunks_exact(8).map(|word| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            i64::from_le_bytes(bytes)
        });
        let wrong = match self.meaning {
            Meaning::Is(want) if !values.clone().eq([want]) => format!("the number {want}; is this its config"),
            Meaning::CountsTo(end) if !values.clone().eq(0..end) => format!("0 to {}; write it again", end - 1),
            Meaning::Is(_) | Meaning::CountsTo(_) | Meaning::Any => String::new(),
        };
        if !wrong.is_empty() {
            return Err(ModelError::Contradiction {
                what: format!("tensor {} holds other values", self.name),
                config: wrong,
            });
        }
        if self.name == OPENAI_SCALAR && !config.quick_gelu {
            return Err(ModelError::Contradiction {
                what: format!("tensor {} shows an OpenAI checkpoint, which has the quick GELU", self.name),
                config: "quick_gelu false; set it to true".to_owned(),
            });
        }
        Ok(Carried { name: self.name.clone(), shape: tensor.shape().to_vec(), bytes: tensor.data().to_vec() })
    }

    fn check_shape(&self, have: &[usize]) -> Result<()> {
        let have: Vec<i64> = have.iter().map(|side| *side as i64).collect();
        let want = match self.meaning {
            Meaning::Is(_) | Meaning::Any => vec![],
            Meaning::CountsTo(end) => vec![1, end],
        };
        if have == want || have == want.iter().copied().skip(1).collect::<Vec<_>>() {
            return Ok(());
        }
        Err(ModelError::WrongShape { name: self.name.clone(), have, want, advice: "is this its config".to_owned() })
    }
}
