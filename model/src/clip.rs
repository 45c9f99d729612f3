//! A CLIP model: its parameters as views into one flat buffer, and its two towers.
//!
//! It must never copy a parameter behind the caller's back: writing to the flat buffer changes the model at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::checkpoint::Form;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::image::ImageTower;
use crate::init;
use crate::layout::{Slot, layout, statistics};
use crate::text::TextTower;

/// ln 100, the largest logit scale of CLIP's training.
pub const MAX_LOGIT_SCALE: f64 = 4.605_170_185_988_092;

/// One named parameter.
#[derive(Debug)]
pub struct Param {
    /// OpenCLIP's state-dict name, such as `visual.transformer.resblocks.0.attn.in_proj_weight`.
    pub name: String,
    /// A leaf of the graph that shares storage with the flat buffer.
    pub tensor: Tensor,
    /// Whether weight decay applies.
    pub decay: bool,
}

/// What a batch norm remembers: it follows the model to its device and kind, and no training changes it.
#[derive(Debug)]
struct Statistic {
    name: String,
    tensor: Tensor,
}

/// A model on one device. Not shared between threads: one thread owns torch.
#[derive(Debug)]
pub struct Clip {
    pub(crate) config: ModelConfig,
    flat: Tensor,
    params: Vec<Param>,
    statistics: Vec<Statistic>,
    /// How a checkpoint of it is written, whatever it is computed in.
    pub(crate) form: Arc<Form>,
    pub(crate) image: ImageTower,
    pub(crate) text: TextTower,
    logit_scale: Tensor,
}

impl Clip {
    /// A model with OpenCLIP's first values; the same seed and config give the same bits.
    pub fn init(config: &ModelConfig, seed: u64) -> Result<Self> {
        let mut values = Vec::new();
        for slot in layout(config) {
            values.extend(init::draw(&slot, seed));
        }
        let clip = Self::from_flat(config, Tensor::f_from_slice(&values)?)?;
        for (slot, statistic) in statistics(config).iter().zip(&clip.statistics) {
            statistic.tensor.shallow_clone().f_copy_(&Tensor::f_from_slice(&init::draw(slot, seed))?)?;
        }
        Ok(clip)
    }

    /// A model over `flat`, `[parameter_count]` in the order of [`Clip::params`]; the buffer is used, not copied.
    /// Statistics are 0.
    fn from_flat(config: &ModelConfig, flat: Tensor) -> Result<Self> {
        let params = views(&layout(config), &flat)?;
        let statistics = zeros(&statistics(config), &flat)?;
        let named: BTreeMap<&str, &Tensor> = params
            .iter()
            .map(|p| (p.name.as_str(), &p.tensor))
            .chain(statistics.iter().map(|s| (s.name.as_str(), &s.tensor)))
            .collect();
        let image = ImageTower::bind(config, &named);
        let text = TextTower::bind(config, &named);
        let logit_scale = named["logit_scale"].shallow_clone();
        let form = Arc::new(Form::fresh(config));
        Ok(Self { config: config.clone(), flat, params, statistics, form, image, text, logit_scale })
    }

    /// A model of zeros, to be filled.
    pub(crate) fn blank(config: &ModelConfig, options: (Kind, Device)) -> Result<Self> {
        let count = layout(config).iter().map(Slot::len).sum::<i64>();
        Self::from_flat(config, Tensor::f_zeros(count, options)?)
    }

    /// A handle on a parameter or statistic that the config has.
    pub(crate) fn slot(&self, name: &str) -> Tensor {
        let params = self.params.iter().map(|p| (&p.name, &p.tensor));
        let statistics = self.statistics.iter().map(|s| (&s.name, &s.tensor));
        let mut found = params.chain(statistics).filter(|(slot, _)| slot.as_str() == name);
        found.next().map(|(_, tensor)| tensor.shallow_clone()).expect("the layout names what the model was made of")
    }

    /// An independent copy: training one leaves the other as it is.
    pub fn duplicate(&self) -> Result<Self> {
        self.with_flat(self.flat.f_detach_copy()?)
    }

    /// The model on another device.
    pub fn into_device(self, device: Device) -> Result<Self> {
        if device == self.device() {
            return Ok(self);
        }
        self.with_flat(self.flat.f_to_device(device)?)
    }

    /// The model computing in another floating-point type; what it is stored as stays.
    pub fn into_kind(self, kind: Kind) -> Result<Self> {
        if kind == self.kind() {
            return Ok(self);
        }
        self.with_flat(self.flat.f_to_kind(kind)?)
    }

    /// What it computes in: f32, or f64 where a result has to be proved.
    pub fn kind(&self) -> Kind {
        self.flat.kind()
    }

    fn with_flat(&self, flat: Tensor) -> Result<Self> {
        let mut copy = Self::from_flat(&self.config, flat)?;
        copy.be_like(self)?;
        Ok(copy)
    }

    /// Takes over what training does not change: statistics, and how a checkpoint is written.
    pub(crate) fn be_like(&mut self, other: &Self) -> Result<()> {
        for (mine, theirs) in self.statistics.iter_mut().zip(&other.statistics) {
            mine.tensor.f_copy_(&theirs.tensor)?;
        }
        self.form = Arc::clone(&other.form);
        Ok(())
    }

    /// A checkpoint of it has every weight as it was computed.
    pub fn store_as_computed(&mut self) {
        self.form = Arc::new(self.form.as_computed(&self.config, self.kind()));
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn device(&self) -> Device {
        self.flat.device()
    }

    /// Every parameter, those that decay first; the order of the flat buffer.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The tensors of [`Clip::params`], which gradients are taken by.
    pub fn leaves(&self) -> Vec<&Tensor> {
        self.params.iter().map(|param| &param.tensor).collect()
    }

    /// The buffer under all parameters, `[parameter_count]` of [`Clip::kind`]: a handle, so writing to it in place (all-reduce, broadcast, optimiser) changes the model.
    pub fn flat(&self) -> Tensor {
        self.flat.shallow_clone()
    }

    pub fn parameter_count(&self) -> i64 {
        self.flat.numel() as i64
    }

    /// How many of the first numbers of the flat buffer are subject to weight decay.
    pub fn decayed_count(&self) -> i64 {
        self.params.iter().filter(|p| p.decay).map(|p| p.tensor.numel() as i64).sum()
    }

    /// The logarithm of the scale of the logits, a scalar parameter.
    pub fn logit_scale(&self) -> &Tensor {
        &self.logit_scale
    }

    /// Keeps the logit scale within 0 and ln 100, as CLIP's training does after every step.
    pub fn clamp_logit_scale(&mut self) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let _ = self.logit_scale.f_detach()?.f_clamp_(0.0, MAX_LOGIT_SCALE)?;
        Ok(())
    }
}

fn views(slots: &[Slot], flat: &Tensor) -> Result<Vec<Param>> {
    let mut start = 0;
    let mut params = Vec::with_capacity(slots.len());
    for slot in slots {
        let view = flat.f_narrow(0, start, slot.len())?.f_view(&slot.shape[..])?.f_detach()?;
        let tensor = view.f_set_requires_grad(true)?;
        start += slot.len();
        params.push(Param { name: slot.name.clone(), tensor, decay: slot.decays() });
    }
    Ok(params)
}

fn zeros(slots: &[Slot], flat: &Tensor) -> Result<Vec<Statistic>> {
    let options = (flat.kind(), flat.device());
    let zeros = |slot: &Slot| Ok(Statistic { name: slot.name.clone(), tensor: Tensor::f_zeros(&slot.shape, options)? });
    slots.iter().map(zeros).collect()
}
