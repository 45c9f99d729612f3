//! The first pass's score: how extreme a pair is among the reference set, over several signals at once.
//!
//! A shortcut shows in two ways (FINDINGS.md). The model takes a picture for what its caption says, as it does its
//! look-alikes by embedding; but pictures that look like it to anyone else, by thumbnail, are called otherwise: the gap
//! between the two agreements. And the match does not depend on the picture any more: its gradient is flat.
//! suspicion = sum over signals of -weight ln(1 - rank), ranks being those of the reference set. It must never be fitted
//! to anything but the reference set, which is drawn from all data.

use lethe_common::fault::Fault;
use lethe_evidence::{Ecdf, fisher};
use lethe_model::density::Densities;
use lethe_model::loss::normalize;
use lethe_model::tch::{Kind, TchError, Tensor};

use super::density::Density;
use super::fault::{fatal, model_fault};
use super::observe::Observed;
use super::reference::Bank;
use super::tensors::{torch, values};

/// Look-alikes whose captions are asked.
const NEIGHBOURS: i64 = 16;

/// The weights of the gap, the flatness and the gain over trusted weights.
const WEIGHTS: [f64; 3] = [2.0, 1.0, 2.0];

/// The signals of one batch, `[B]` each, as stored.
pub struct Signals {
    pub similarity: Vec<f32>,
    pub token_gradient: Vec<f32>,
    /// How well the caption agrees with those of the pictures whose embeddings are nearest.
    pub agreement: Vec<f32>,
    /// The same of the pictures whose thumbnails are.
    pub thumbnail_agreement: Vec<f32>,
    /// For the operator to compare with; they do not count, since a poisoned pair may be lonely or one of a crowd
    /// (METHOD.md's trials).
    pub densities: Densities,
    pub trusted_gain: Option<Vec<f32>>,
}

impl Signals {
    pub const NAMES: [&str; 7] =
        ["similarity", "token_gradient", "agreement", "thumbnail_agreement", "k_distance", "slof", "dao"];
    pub const TRUSTED: &str = "trusted_gain";

    /// A pair's signals in the order of the names.
    pub fn row(&self, i: usize) -> Vec<f32> {
        let fixed = [
            &self.similarity,
            &self.token_gradient,
            &self.agreement,
            &self.thumbnail_agreement,
            &self.densities.k_distance,
            &self.densities.slof,
            &self.densities.dao,
        ];
        fixed.into_iter().chain(&self.trusted_gain).map(|signal| signal[i]).collect()
    }

    /// What counts, turned so that higher is more suspicious, in the order of the weights.
    fn oriented(&self) -> Vec<Vec<f32>> {
        let gap = self.agreement.iter().zip(&self.thumbnail_agreement).map(|(embedded, seen)| embedded - seen);
        let flatness = self.token_gradient.iter().map(|gradient| -gradient);
        [gap.collect(), flatness.collect()].into_iter().chain(self.trusted_gain.clone()).collect()
    }
}

/// What look-alikes are searched by, `[B, D]` each: unit rows.
struct Views {
    image: Tensor,
    thumbnail: Tensor,
    text: Tensor,
}

impl Views {
    /// Thumbnails count by what sets them apart from the reference set's mean.
    fn of(image: &Tensor, thumbnail: &Tensor, text: &Tensor, mean: &Tensor) -> Result<Self, Fault> {
        let unit = |rows: &Tensor| normalize(rows).map_err(model_fault);
        let apart = thumbnail.f_sub(mean).map_err(torch)?;
        Ok(Self { image: unit(image)?, thumbnail: unit(&apart)?, text: unit(text)? })
    }
}

/// The reference set with its own signals' distributions.
pub struct Calibration {
    views: Views,
    mean_thumbnail: Tensor,
    names: Tensor,
    density: Density,
    ecdfs: Vec<Ecdf>,
}

impl Calibration {
    pub fn of(bank: &Bank) -> Result<Self, Fault> {
        let [image, thumbnail, text, names] =
            ["image_features", "thumbnail", "text_features", "name"].map(|name| bank.required(name));
        let (thumbnail, density) = (thumbnail?, Density::of(bank)?);
        let mean_thumbnail = thumbnail.f_mean_dim([0].as_slice(), true, Kind::Float).map_err(torch)?;
        let views = Views::of(&image?, &thumbnail, &text?, &mean_thumbnail)?;
        let mut calibration = Self { views, mean_thumbnail, names: names?, density, ecdfs: Vec::new() };
        let own = calibration.own_signals(bank)?;
        calibration.ecdfs = own.oriented().into_iter().map(Ecdf::new).collect::<Result<_, _>>().map_err(fatal)?;
        Ok(calibration)
    }

    fn own_signals(&self, bank: &Bank) -> Result<Signals, Fault> {
        let (agreement, thumbnail_agreement) = self.agreements(&self.views, &self.names)?;
        Ok(Signals {
            similarity: Vec::new(),
            token_gradient: values(&bank.required("token_gradient")?)?,
            agreement,
            thumbnail_agreement,
            densities: Densities::default(),
            trusted_gain: bank.column(Signals::TRUSTED)?.map(|gain| values(&gain)).transpose()?,
        })
    }

    /// A batch's signals; `names` `[B, 2]` tell a pair of the reference set from itself.
    pub fn signals(&self, seen: &Observed, names: &Tensor, gain: Option<Tensor>) -> Result<Signals, Fault> {
        let views = Views::of(&seen.image_features, &seen.thumbnail, &seen.text_features, &self.mean_thumbnail)?;
        let (agreement, thumbnail_agreement) = self.agreements(&views, names)?;
        Ok(Signals {
            similarity: values(&seen.similarity)?,
            token_gradient: values(&seen.token_gradient)?,
            agreement,
            thumbnail_agreement,
            densities: self.density.of_batch(&seen.image_features, names)?,
            trusted_gain: gain.map(|gain| values(&gain)).transpose()?,
        })
    }

    /// The score of every pair of a batch.
    pub fn suspicion(&self, signals: &Signals) -> Vec<f32> {
        let oriented = signals.oriented();
        let ranks = |i: usize| self.ecdfs.iter().zip(&oriented).map(move |(ecdf, signal)| ecdf.rank(signal[i]));
        (0..signals.token_gradient.len()).map(|i| fisher(WEIGHTS.into_iter().zip(ranks(i)))).collect()
    }

    /// By embedding, and by thumbnail.
    fn agreements(&self, views: &Views, names: &Tensor) -> Result<(Vec<f32>, Vec<f32>), Fault> {
        let agree = |query: &Tensor, bank: &Tensor| self.agreement(query, bank, &views.text, names).map_err(torch);
        let (embedded, seen) =
            (agree(&views.image, &self.views.image)?, agree(&views.thumbnail, &self.views.thumbnail)?);
        Ok((values(&embedded)?, values(&seen)?))
    }

    /// How well a pair's caption agrees with those of the reference images that look most like its image: the
    /// mean of <g(t), g(t_j)> over the nearest by `query` against `bank`, itself left out, `[B]`.
    fn agreement(&self, query: &Tensor, bank: &Tensor, text: &Tensor, names: &Tensor) -> Result<Tensor, TchError> {
        let itself = names.f_unsqueeze(1)?.f_eq_tensor(&self.names.f_unsqueeze(0)?)?.f_all_dim(-1, false)?;
        let near = query.f_matmul(&bank.f_transpose(0, 1)?)?.f_masked_fill(&itself, f64::NEG_INFINITY)?;
        let count = NEIGHBOURS.min(bank.size()[0] - 1).max(1);
        let (_, nearest) = near.f_topk(count, -1, true, false)?;
        let captions = text.f_matmul(&self.views.text.f_transpose(0, 1)?)?;
        captions.f_gather(1, &nearest, false)?.f_mean_dim([-1].as_slice(), false, Kind::Float)
    }
}
