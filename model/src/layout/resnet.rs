//! The slots of OpenCLIP's ModifiedResNet: a stem of three convolutions, four stages of bottlenecks, an attention pool.
//!
//! It must never list a layer that the tower does not compute.

use super::{Init, Table, linear};
use crate::config::{ResNet, VisionConfig};

/// A bottleneck's output is this many times as wide as its inside.
const EXPANSION: i64 = 4;

/// What a batch norm of a fresh model would find. Statistics are never updated here, and with OpenCLIP's 1 each layer would shrink
/// its signal to less than a half, until nothing of a picture arrives at the pool. Kernels are uniform with a variance of a third
/// of one over their inputs, and rectified normals have a mean square of a half: a sixth.
const FIRST_VARIANCE: f64 = 1.0 / 6.0;

/// One residual block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bottleneck {
    /// Such as `visual.layer2.0`.
    pub prefix: String,
    pub inputs: i64,
    /// Channels inside the block.
    pub planes: i64,
    /// By how much it shrinks a side, which averaging does.
    pub stride: i64,
}

impl Bottleneck {
    pub fn outputs(&self) -> i64 {
        self.planes * EXPANSION
    }

    /// Whether the input has to be brought to the output's shape before both are added.
    pub fn reshapes(&self) -> bool {
        self.stride > 1 || self.inputs != self.outputs()
    }
}

/// Every residual block in its order.
pub(crate) fn bottlenecks(width: i64, resnet: &ResNet) -> Vec<Bottleneck> {
    let mut inputs = width;
    let mut all = Vec::new();
    for (stage, blocks) in resnet.blocks.into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let prefix = format!("visual.layer{}.{block}", stage + 1);
            all.push(Bottleneck { prefix, inputs, planes: width << stage, stride });
            inputs = (width << stage) * EXPANSION;
        }
    }
    all
}

pub(super) fn tower(table: &mut Table, (v, resnet): (&VisionConfig, &ResNet), embed_dim: i64) {
    table.convolution("visual.conv1", [v.width / 2, 3, 3]);
    table.batch_norm("visual.bn1", v.width / 2, 1.0);
    table.convolution("visual.conv2", [v.width / 2, v.width / 2, 3]);
    table.batch_norm("visual.bn2", v.width / 2, 1.0);
    table.convolution("visual.conv3", [v.width, v.width / 2, 3]);
    table.batch_norm("visual.bn3", v.width, 1.0);
    for block in bottlenecks(v.width, resnet) {
        table.bottleneck(&block);
    }
    attention_pool(table, v, embed_dim);
}

fn attention_pool(table: &mut Table, v: &VisionConfig, embed_dim: i64) {
    let width = v.token_width();
    let normal = Init::Normal((width as f64).powf(-0.5));
    table.add("visual.attnpool.positional_embedding", &[v.patches() + 1, width], normal);
    for (name, outputs) in [("k_proj", width), ("q_proj", width), ("v_proj", width), ("c_proj", embed_dim)] {
        table.add(&format!("visual.attnpool.{name}.weight"), &[outputs, width], normal);
        table.add(&format!("visual.attnpool.{name}.bias"), &[outputs], linear(width));
    }
}

impl Table {
    fn bottleneck(&mut self, block: &Bottleneck) {
        let Bottleneck { ref prefix, inputs, planes, .. } = *block;
        self.convolution(&format!("{prefix}.conv1"), [planes, inputs, 1]);
        self.batch_norm(&format!("{prefix}.bn1"), planes, 1.0);
        self.convolution(&format!("{prefix}.conv2"), [planes, planes, 3]);
        self.batch_norm(&format!("{prefix}.bn2"), planes, 1.0);
        self.convolution(&format!("{prefix}.conv3"), [block.outputs(), planes, 1]);
        // OpenCLIP begins with blocks that add nothing.
        self.batch_norm(&format!("{prefix}.bn3"), block.outputs(), 0.0);
        if block.reshapes() {
            self.convolution(&format!("{prefix}.downsample.0"), [block.outputs(), inputs, 1]);
            self.batch_norm(&format!("{prefix}.downsample.1"), block.outputs(), 1.0);
        }
    }

    /// A square kernel without bias: outputs, inputs, side.
    fn convolution(&mut self, name: &str, [outputs, inputs, side]: [i64; 3]) {
        self.add(&format!("{name}.weight"), &[outputs, inputs, side, side], linear(inputs * side * side));
    }

    fn batch_norm(&mut self, name: &str, width: i64, gain: f64) {
        self.add(&format!("{name}.weight"), &[width], Init::Constant(gain));
        self.add(&format!("{name}.bias"), &[width], Init::Constant(0.0));
        self.statistic(&format!("{name}.running_mean"), width, 0.0);
        self.statistic(&format!("{name}.running_var"), width, FIRST_VARIANCE);
    }

    fn statistic(&mut self, name: &str, width: i64, value: f64) {
        self.statistics.push(super::Slot { name: name.to_owned(), shape: vec![width], init: Init::Constant(value) });
    }
}
