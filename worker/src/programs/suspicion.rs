//! The first pass's score: how extreme a pair is among the reference set, over several signals at once.
//!
//! Fisher's combination of tail probabilities, suspicion = sum over signals of -ln(1 - rank), ranks being
//! those of the reference set. No signal alone finds every attack (FINDINGS.md). It must never be fitted
//! to anything but the reference set, which is drawn from all data.

use lethe_common::fault::Fault;
use lethe_evidence::{Ecdf, fisher};
use lethe_model::density::Densities;
use lethe_model::tch::{Kind, TchError, Tensor};

use super::density::Density;
use super::fault::fatal;
use super::observe::Observed;
use super::reference::Bank;
use super::tensors::{torch, values};

/// Look-alikes whose captions are asked.
const NEIGHBOURS: i64 = 16;

/// The signals of one batch, `[B]` each, as stored.
pub struct Signals {
    pub similarity: Vec<f32>,
    pub blur_fall: Vec<f32>,
    pub crop_fall: Vec<f32>,
    pub token_gradient: Vec<f32>,
    pub blur_agreement: Vec<f32>,
    pub crop_agreement: Vec<f32>,
    /// For the operator to compare with; they do not count, since a poisoned pair may be lonely or one of a crowd
    /// (METHOD.md's trials).
    pub densities: Densities,
    pub trusted_gain: Option<Vec<f32>>,
}

impl Signals {
    pub const NAMES: [&str; 9] = [
        "similarity",
        "blur_fall",
        "crop_fall",
        "token_gradient",
        "blur_agreement",
        "crop_agreement",
        "k_distance",
        "slof",
        "dao",
    ];
    pub const TRUSTED: &str = "trusted_gain";

    /// A pair's signals in the order of the names.
    pub fn row(&self, i: usize) -> Vec<f32> {
        let fixed = [
            &self.similarity,
            &self.blur_fall,
            &self.crop_fall,
            &self.token_gradient,
            &self.blur_agreement,
            &self.crop_agreement,
            &self.densities.k_distance,
            &self.densities.slof,
            &self.densities.dao,
        ];
        fixed.into_iter().chain(&self.trusted_gain).map(|signal| signal[i]).collect()
    }

    /// The signals that count, turned so that higher is more suspicious.
    fn oriented(&self) -> Vec<Vec<f32>> {
        let turned = |signal: &[f32]| signal.iter().map(|value| -value).collect();
        let mut oriented = vec![
            self.blur_fall.clone(),
            self.crop_fall.clone(),
            turned(&self.token_gradient),
            turned(&self.blur_agreement),
            turned(&self.crop_agreement),
        ];
        oriented.extend(self.trusted_gain.clone());
        oriented
    }
}

/// The reference set with its own signals' distributions.
pub struct Calibration {
    blurred: Tensor,
    cropped: Tensor,
    text: Tensor,
    names: Tensor,
    density: Density,
    ecdfs: Vec<Ecdf>,
}

impl Calibration {
    pub fn of(bank: &Bank) -> Result<Self, Fault> {
        let [blurred, cropped, text, names] = ["blurred", "cropped", "text", "name"].map(|name| bank.required(name));
        let density = Density::of(bank)?;
        let mut calibration =
            Self { blurred: blurred?, cropped: cropped?, text: text?, names: names?, density, ecdfs: Vec::new() };
        let own = calibration.own_signals(bank)?;
        calibration.ecdfs = own.oriented().into_iter().map(Ecdf::new).collect::<Result<_, _>>().map_err(fatal)?;
        Ok(calibration)
    }

    fn own_signals(&self, bank: &Bank) -> Result<Signals, Fault> {
        let flat = |name: &str| values(&bank.required(name)?);
        let (blur_agreement, crop_agreement) =
            self.agreements(&self.blurred, &self.cropped, &self.text, &self.names)?;
        Ok(Signals {
            similarity: Vec::new(),
            blur_fall: flat("blur_fall")?,
            crop_fall: flat("crop_fall")?,
            token_gradient: flat("token_gradient")?,
            blur_agreement,
            crop_agreement,
            densities: Densities::default(),
            trusted_gain: bank.column(Signals::TRUSTED)?.map(|gain| values(&gain)).transpose()?,
        })
    }

    /// A batch's signals; `names` `[B, 2]` tell a pair of the reference set from itself.
    pub fn signals(&self, seen: &Observed, names: &Tensor, gain: Option<Tensor>) -> Result<Signals, Fault> {
        let (blur_agreement, crop_agreement) = self.agreements(&seen.blurred, &seen.cropped, &seen.text, names)?;
        Ok(Signals {
            similarity: values(&seen.similarity)?,
            blur_fall: values(&seen.blur_fall)?,
            crop_fall: values(&seen.crop_fall)?,
            token_gradient: values(&seen.token_gradient)?,
            blur_agreement,
            crop_agreement,
            densities: self.density.of_batch(&seen.image_features, names)?,
            trusted_gain: gain.map(|gain| values(&gain)).transpose()?,
        })
    }

    /// The score of every pair of a batch.
    pub fn suspicion(&self, signals: &Signals) -> Vec<f32> {
        let oriented = signals.oriented();
        let rank = |i: usize| -> Vec<f64> {
            self.ecdfs.iter().zip(&oriented).map(|(ecdf, signal)| ecdf.rank(signal[i])).collect()
        };
        (0..signals.blur_fall.len()).map(|i| fisher(&rank(i))).collect()
    }

    fn agreements(
        &self,
        blurred: &Tensor,
        cropped: &Tensor,
        text: &Tensor,
        names: &Tensor,
    ) -> Result<(Vec<f32>, Vec<f32>), Fault> {
        let agree = |query: &Tensor, bank: &Tensor| self.agreement(query, bank, text, names).map_err(torch);
        Ok((values(&agree(blurred, &self.blurred)?)?, values(&agree(cropped, &self.cropped)?)?))
    }

    /// How well a pair's caption agrees with those of the reference images that look most like its image: the
    /// mean of <g(t), g(t_j)> over the nearest by `query` against `bank`, itself left out, `[B]`.
    fn agreement(&self, query: &Tensor, bank: &Tensor, text: &Tensor, names: &Tensor) -> Result<Tensor, TchError> {
        let itself = names.f_unsqueeze(1)?.f_eq_tensor(&self.names.f_unsqueeze(0)?)?.f_all_dim(-1, false)?;
        let near = query.f_matmul(&bank.f_transpose(0, 1)?)?.f_masked_fill(&itself, f64::NEG_INFINITY)?;
        let count = NEIGHBOURS.min(bank.size()[0] - 1).max(1);
        let (_, nearest) = near.f_topk(count, -1, true, false)?;
        let captions = text.f_matmul(&self.text.f_transpose(0, 1)?)?;
        captions.f_gather(1, &nearest, false)?.f_mean_dim([-1].as_slice(), false, Kind::Float)
    }
}
