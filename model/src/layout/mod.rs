//! The parameters and statistics of a model in their order: names, shapes, first values, and whether weight decay applies.
//!
//! It must never touch a tensor: it is a table that init, checkpoint and towers share.

mod resnet;

pub(crate) use resnet::{Bottleneck, bottlenecks};

use crate::config::{ModelConfig, TextConfig, Tower, VisionConfig, Vit};

/// How a parameter starts when a model is trained from nothing (OpenCLIP's rules).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    Constant(f64),
    /// Mean 0 and this standard deviation.
    Normal(f64),
    /// Between minus and plus this bound.
    Uniform(f64),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub name: String,
    pub shape: Vec<i64>,
    pub init: Init,
}

impl Slot {
    pub fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// OpenCLIP's training rule: matrices decay; gains, biases and the logit scale do not.
    pub fn decays(&self) -> bool {
        self.shape.len() >= 2
    }
}

/// Every parameter: first those that decay, then the others, so that both groups are contiguous in the flat buffer.
pub(crate) fn layout(config: &ModelConfig) -> Vec<Slot> {
    let (mut slots, others): (Vec<_>, Vec<_>) = table(config).slots.into_iter().partition(Slot::decays);
    slots.extend(others);
    slots
}

/// What batch norms remember of their training's data: read, written back, and never trained.
pub(crate) fn statistics(config: &ModelConfig) -> Vec<Slot> {
    table(config).statistics
}

fn table(config: &ModelConfig) -> Table {
    let mut table = Table::default();
    match config.vision.tower {
        Tower::Vit(ref vit) => vit_tower(&mut table, (&config.vision, vit), config.embed_dim),
        Tower::ResNet(ref resnet) => resnet::tower(&mut table, (&config.vision, resnet), config.embed_dim),
    }
    text_tower(&mut table, &config.text, config.embed_dim);
    table.add("logit_scale", &[], Init::Constant((1.0_f64 / 0.07).ln()));
    table
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    statistics: Vec<Slot>,
}

impl Table {
    fn add(&mut self, name: &str, shape: &[i64], init: Init) {
        self.slots.push(Slot { name: name.to_owned(), shape: shape.to_vec(), init });
    }

    fn layer_norm(&mut self, name: &str, width: i64) {
        self.add(&format!("{name}.weight"), &[width], Init::Constant(1.0));
        self.add(&format!("{name}.bias"), &[width], Init::Constant(0.0));
    }

    fn block(&mut self, prefix: &str, sizes: BlockSizes, inits: &BlockInits) {
        let BlockSizes { width, mlp_width } = sizes;
        self.layer_norm(&format!("{prefix}.ln_1"), width);
        self.add(&format!("{prefix}.attn.in_proj_weight"), &[3 * width, width], inits.in_proj);
        self.add(&format!("{prefix}.attn.in_proj_bias"), &[3 * width], Init::Constant(0.0));
        self.add(&format!("{prefix}.attn.out_proj.weight"), &[width, width], inits.out_proj);
        self.add(&format!("{prefix}.attn.out_proj.bias"), &[width], Init::Constant(0.0));
        self.layer_norm(&format!("{prefix}.ln_2"), width);
        self.add(&format!("{prefix}.mlp.c_fc.weight"), &[mlp_width, width], inits.c_fc);
        self.add(&format!("{prefix}.mlp.c_fc.bias"), &[mlp_width], linear(width));
        self.add(&format!("{prefix}.mlp.c_proj.weight"), &[width, mlp_width], inits.c_proj);
        self.add(&format!("{prefix}.mlp.c_proj.bias"), &[width], linear(mlp_width));
    }
}

#[derive(Clone, Copy)]
struct BlockSizes {
    width: i64,
    mlp_width: i64,
}

struct BlockInits {
    in_proj: Init,
    out_proj: Init,
    c_fc: Init,
    c_proj: Init,
}

/// PyTorch's default for linear and convolution layers: Kaiming uniform with a = sqrt 5.
fn linear(fan_in: i64) -> Init {
    Init::Uniform((fan_in as f64).powf(-0.5))
}

fn vit_tower(table: &mut Table, (v, vit): (&VisionConfig, &Vit), embed_dim: i64) {
    let scale = Init::Normal((v.width as f64).powf(-0.5));
    table.add("visual.class_embedding", &[v.width], scale);
    table.add("visual.positional_embedding", &[v.patches() + 1, v.width], scale);
    table.add("visual.proj", &[v.width, embed_dim], scale);
    let patch_inputs = 3 * vit.patch_size * vit.patch_size;
    table.add("visual.conv1.weight", &[v.width, 3, vit.patch_size, vit.patch_size], linear(patch_inputs));
    table.layer_norm("visual.ln_pre", v.width);
    let inits = BlockInits {
        // Xavier uniform over the stacked query, key and value matrix.
        in_proj: Init::Uniform((6.0 / (4 * v.width) as f64).sqrt()),
        out_proj: linear(v.width),
        c_fc: linear(v.width),
        c_proj: linear(vit.mlp_width),
    };
    let sizes = BlockSizes { width: v.width, mlp_width: vit.mlp_width };
    for layer in 0..vit.layers {
        table.block(&format!("visual.transformer.resblocks.{layer}"), sizes, &inits);
    }
    table.layer_norm("visual.ln_post", v.width);
}

fn text_tower(table: &mut Table, t: &TextConfig, embed_dim: i64) {
    let width = t.width as f64;
    let depth = (2.0 * t.layers as f64).powf(-0.5);
    table.add("positional_embedding", &[t.context_length, t.width], Init::Normal(0.01));
    table.add("text_projection", &[t.width, embed_dim], Init::Normal(width.powf(-0.5)));
    table.add("token_embedding.weight", &[t.vocab_size, t.width], Init::Normal(0.02));
    let inits = BlockInits {
        in_proj: Init::Normal(width.powf(-0.5)),
        out_proj: Init::Normal(width.powf(-0.5) * depth),
        c_fc: Init::Normal((2.0 * width).powf(-0.5)),
        c_proj: Init::Normal(width.powf(-0.5) * depth),
    };
    let sizes = BlockSizes { width: t.width, mlp_width: t.mlp_width };
    for layer in 0..t.layers {
        table.block(&format!("transformer.resblocks.{layer}"), sizes, &inits);
    }
    table.layer_norm("ln_final", t.width);
}
