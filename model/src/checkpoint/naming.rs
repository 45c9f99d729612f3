//! What a parameter is called in a file, and which part of it the file's tensor is.
//!
//! It must never look at values: names in, names and shapes out.

use crate::layout::Slot;

/// OpenCLIP's names of the query, key and value matrix in one, and Hugging Face's of the three.
const IN_PROJ: &str = "attn.in_proj_";
const PROJECTIONS: [&str; 3] = ["q_proj", "k_proj", "v_proj"];
/// What OpenCLIP's CustomTextCLIP keeps in a text tower of its own.
const TEXT_PARTS: [&str; 5] =
    ["positional_embedding", "text_projection", "token_embedding.", "transformer.", "ln_final."];

/// Who named the tensors of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// OpenCLIP and OpenAI.
    OpenClip,
    /// OpenCLIP where the config has `custom_text`.
    CustomText,
    /// transformers' CLIPModel.
    HuggingFace,
}

/// Which part of a parameter a tensor of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// One of three equal blocks of rows, counted from 0.
    Third(i64),
    Transposed,
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub name: String,
    pub shape: Vec<i64>,
    /// The parameter, by OpenCLIP's name.
    pub slot: String,
    pub part: Part,
}

impl Naming {
    pub fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let any = |prefix: &str| names.clone().any(|name| name.starts_with(prefix));
        if any("vision_model.") || any("text_model.") {
            Self::HuggingFace
        } else if any("text.") {
            Self::CustomText
        } else {
            Self::OpenClip
        }
    }

    /// The tensors that make up a parameter, in their order; none where these names have no such parameter.
    pub fn names(self, slot: &str) -> Vec<(String, Part)> {
        match self {
            Self::OpenClip => vec![(slot.to_owned(), Part::Whole)],
            Self::CustomText if TEXT_PARTS.iter().any(|part| slot.starts_with(part)) => {
                vec![(format!("text.{slot}"), Part::Whole)]
            }
            Self::CustomText => vec![(slot.to_owned(), Part::Whole)],
            Self::HuggingFace => hugging_face(slot),
        }
    }

    pub fn pieces(self, slot: &Slot) -> Vec<Piece> {
        let piece = |(name, part): (String, Part)| Piece {
            name,
            shape: part.shape(&slot.shape),
            slot: slot.name.clone(),
            part,
        };
        self.names(&slot.name).into_iter().map(piece).collect()
    }
}

impl Part {
    /// The shape of this part of a parameter.
    fn shape(self, whole: &[i64]) -> Vec<i64> {
        match (self, whole) {
            (Self::Third(_), [rows, rest @ ..]) => [&[rows / 3], rest].concat(),
            (Self::Transposed, _) => whole.iter().rev().copied().collect(),
            (Self::Whole | Self::Third(_), _) => whole.to_vec(),
        }
    }

    /// The shape of the parameter that has this part.
    pub fn whole_shape(self, part: &[i64]) -> Vec<i64> {
        match (self, part) {
            (Self::Third(_), [rows, rest @ ..]) => [&[rows.saturating_mul(3)], rest].concat(),
            (Self::Transposed, _) => part.iter().rev().copied().collect(),
            (Self::Whole | Self::Third(_), _) => part.to_vec(),
        }
    }
}

fn hugging_face(slot: &str) -> Vec<(String, Part)> {
    let plain = |name: &str| vec![(name.to_owned(), Part::Whole)];
    match slot {
        "logit_scale" => plain(slot),
        "visual.class_embedding" => plain("vision_model.embeddings.class_embedding"),
        "visual.positional_embedding" => plain("vision_model.embeddings.position_embedding.weight"),
        "visual.conv1.weight" => plain("vision_model.embeddings.patch_embedding.weight"),
        "visual.proj" => vec![("visual_projection.weight".to_owned(), Part::Transposed)],
        "positional_embedding" => plain("text_model.embeddings.position_embedding.weight"),
        "token_embedding.weight" => plain("text_model.embeddings.token_embedding.weight"),
        "text_projection" => vec![("text_projection.weight".to_owned(), Part::Transposed)],
        other => nested(other),
    }
}

/// Layer norms of the towers' ends, and what lies in blocks.
fn nested(slot: &str) -> Vec<(String, Part)> {
    // The misspelt name is transformers' own.
    for (ours, theirs) in [
        ("visual.ln_pre.", "vision_model.pre_layrnorm."),
        ("visual.ln_post.", "vision_model.post_layernorm."),
        ("ln_final.", "text_model.final_layer_norm."),
    ] {
        if let Some(part) = slot.strip_prefix(ours) {
            return vec![(format!("{theirs}{part}"), Part::Whole)];
        }
    }
    for (ours, theirs) in [
        ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
        ("transformer.resblocks.", "text_model.encoder.layers."),
    ] {
        if let Some((layer, part)) = slot.strip_prefix(ours).and_then(|rest| rest.split_once('.')) {
            return block(&format!("{theirs}{layer}."), part);
        }
    }
    Vec::new()
}

fn block(prefix: &str, part: &str) -> Vec<(String, Part)> {
    if let Some(kind) = part.strip_prefix(IN_PROJ) {
        let third = |(i, name)| (format!("{prefix}self_attn.{name}.{kind}"), Part::Third(i));
        return (0..).zip(PROJECTIONS).map(third).collect();
    }
    for (ours, theirs) in [
        ("ln_1.", "layer_norm1."),
        ("ln_2.", "layer_norm2."),
        ("attn.out_proj.", "self_attn.out_proj."),
        ("mlp.c_fc.", "mlp.fc1."),
        ("mlp.c_proj.", "mlp.fc2."),
    ] {
        if let Some(kind) = part.strip_prefix(ours) {
            return vec![(format!("{prefix}{theirs}{kind}"), Part::Whole)];
        }
    }
    Vec::new()
}
