//! The architecture that tensors show by their names and shapes.
//!
//! It must never guess what shapes cannot tell: the activation, and the heads of a width that nobody published.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{ModelConfig, Normalization, ResNet, TextConfig, Tower, VisionConfig, Vit, refuse};
use crate::checkpoint::Naming;
use crate::error::{ModelError, Result};

/// What the operator knows and tensors do not tell: a config without an architecture, such as `{"quick_gelu": false}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hints {
    /// OpenAI's own files show it; others do not.
    pub quick_gelu: Option<bool>,
    /// Those of published widths are known.
    pub vision_heads: Option<i64>,
    pub text_heads: Option<i64>,
}

impl Hints {
    /// The hints of a config that has nothing else; none of a config that is one.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What names and shapes tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    embed_dim: i64,
    image_size: i64,
    width: i64,
    tower: Tower,
    /// Without its heads.
    text: TextConfig,
    is_openai: bool,
}

type Shapes = BTreeMap<String, Vec<i64>>;

/// Shapes by OpenCLIP's names.
struct Finder<'a> {
    shapes: &'a Shapes,
    naming: Naming,
}

impl Finder<'_> {
    /// A side of a parameter of this many sides, of the file's first tensor of it.
    fn side(&self, slot: &str, [side, of]: [usize; 2]) -> Result<i64> {
        let found = self.shape(slot).filter(|shape| shape.len() == of).map(|shape| shape[side]).ok_or_else(|| {
            ModelError::Config(format!(
                "the checkpoint has no tensor {slot} of {of} sides, so it does not show its own"
            ))
        })?;
        refuse::size(&format!("a side of the tensor {slot}"), found)?;
        Ok(found)
    }

    fn shape(&self, slot: &str) -> Option<Vec<i64>> {
        let names = self.naming.names(slot);
        let (name, part) = names.first()?;
        Some(part.whole_shape(self.shapes.get(name)?))
    }

    /// How many of `prefix.0.suffix`, `prefix.1.suffix` and so on there are.
    fn count(&self, prefix: &str, suffix: &str) -> usize {
        (0..self.shapes.len()).take_while(|i| self.shape(&format!("{prefix}.{i}.{suffix}")).is_some()).count()
    }
}

pub(crate) fn seen(shapes: &Shapes, naming: Naming) -> Result<Seen> {
    let finder = Finder { shapes, naming };
    let text = text(&finder)?;
    let embed_dim = finder.side("text_projection", [1, 2])?;
    let is_resnet = finder.shape("visual.attnpool.positional_embedding").is_some();
    let (width, image_size, tower) = if is_resnet { resnet(&finder)? } else { vit(&finder)? };
    let is_openai = shapes.contains_key("input_resolution");
    Ok(Seen { embed_dim, image_size, width, tower, text, is_openai })
}

fn text(finder: &Finder<'_>) -> Result<TextConfig> {
    Ok(TextConfig {
        context_length: finder.side("positional_embedding", [0, 2])?,
        vocab_size: finder.side("token_embedding.weight", [0, 2])?,
        width: finder.side("token_embedding.weight", [1, 2])?,
        layers: finder.count("transformer.resblocks", "ln_1.weight"),
        heads: 0,
        mlp_width: finder.side("transformer.resblocks.0.mlp.c_fc.weight", [0, 2])?,
    })
}

fn vit(finder: &Finder<'_>) -> Result<(i64, i64, Tower)> {
    let patch_size = finder.side("visual.conv1.weight", [2, 4])?;
    let vit = Vit {
        patch_size,
        layers: finder.count("visual.transformer.resblocks", "ln_1.weight"),
        mlp_width: finder.side("visual.transformer.resblocks.0.mlp.c_fc.weight", [0, 2])?,
    };
    let grid = grid(finder.side("visual.positional_embedding", [0, 2])?)?;
    Ok((finder.side("visual.conv1.weight", [0, 4])?, grid.saturating_mul(patch_size), Tower::Vit(vit)))
}

fn resnet(finder: &Finder<'_>) -> Result<(i64, i64, Tower)> {
    let blocks = [1, 2, 3, 4].map(|stage| finder.count(&format!("visual.layer{stage}"), "conv1.weight"));
    let grid = grid(finder.side("visual.attnpool.positional_embedding", [0, 2])?)?;
    let width = finder.side("visual.conv3.weight", [0, 4])?;
    Ok((width, grid.saturating_mul(ResNet::STRIDE), Tower::ResNet(ResNet { blocks })))
}

/// Cells a side of the square that this many positions are, the class token among them.
fn grid(positions: i64) -> Result<i64> {
    let cells = positions.max(1) - 1;
    let side = cells.isqrt();
    if side > 0 && side * side == cells {
        return Ok(side);
    }
    Err(ModelError::Config(format!("{positions} image positions are no square and a class token")))
}

pub(crate) fn config(shapes: &Shapes, naming: Naming, hints: &Hints) -> Result<ModelConfig> {
    let Seen { embed_dim, image_size, width, tower, mut text, is_openai } = seen(shapes, naming)?;
    let quick_gelu =
        hints.quick_gelu.or(is_openai.then_some(true)).ok_or_else(|| untold("whether it has quick GELU"))?;
    text.heads =
        hints.text_heads.or_else(|| heads(text.width, 64)).ok_or_else(|| untold("the heads of its text tower"))?;
    let mut vision = VisionConfig { image_size, width, heads: 0, tower };
    let published = heads(vision.token_width(), head_width(&vision));
    vision.heads = hints.vision_heads.or(published).ok_or_else(|| untold("the heads of its image tower"))?;
    let config = ModelConfig { embed_dim, vision, text, quick_gelu, normalization: Normalization::default() };
    refuse::senseless(&config)?;
    Ok(config)
}

fn untold(what: &str) -> ModelError {
    ModelError::Config(format!("the tensors of the checkpoint do not tell {what}; give its config"))
}

/// OpenCLIP's and OpenAI's published models.
fn head_width(vision: &VisionConfig) -> i64 {
    match (vision.tower, vision.width) {
        (Tower::Vit(_), 1280) => 80,
        (Tower::Vit(_), 1408) => 88,
        (Tower::Vit(_), 1664) => 104,
        (Tower::Vit(_) | Tower::ResNet(_), _) => 64,
    }
}

/// Whole heads of a width as wide as published towers are.
fn heads(width: i64, head_width: i64) -> Option<i64> {
    (width >= 384 && width % head_width == 0).then(|| width / head_width)
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { embed_dim, image_size, width, tower, text, .. } = self;
        match tower {
            Tower::Vit(Vit { patch_size, layers, .. }) => {
                write!(
                    f,
                    "a ViT with image_size {image_size}, patch_size {patch_size}, width {width}, {layers} layers"
                )?;
            }
            Tower::ResNet(ResNet { blocks }) => {
                write!(f, "a ResNet with image_size {image_size}, width {width}, layers {blocks:?}")?;
            }
        }
        let TextConfig { context_length, vocab_size, width, layers, .. } = text;
        write!(f, ", text context_length {context_length}, vocab_size {vocab_size}, width {width}, {layers} layers, ")?;
        write!(f, "embed_dim {embed_dim}")
    }
}
