//! The first pass's score: how extreme a pair is among the reference set, over several signals at once.
//!
//! A shortcut shows in two ways (FINDINGS.md). The model takes a picture for what its caption says, as it does its
//! look-alikes by embedding; but pictures that look like it to anyone else, by thumbnail, are called otherwise: the gap
//! between the two agreements. And the match does not depend on the picture any more: its gradient is flat.
//! suspicion = sum over signals of -weight ln(1 - rank), ranks being those of the reference set. It must never be fitted
//! to anything but the reference set, which is drawn from all data.

use lethe_common::fault::Fault;
use lethe_common::spec::Detector;
use lethe_evidence::{Ecdf, fisher};
use lethe_model::density::Densities;
use lethe_model::loss::normalize;
use lethe_model::tch::{Kind, TchError, Tensor};

use super::density::Density;
use super::early::Early;
use super::fault::{fatal, model_fault};
use super::isolation::Forest;
use super::observe::Observed;
use super::reference::{Bank, EARLY_IMAGE, EARLY_TEXT, TRUSTED_GAIN};
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
    /// This and the next are for the operator to compare with, or to choose; they do not count among the signals, since a
    /// poisoned pair may be lonely or one of a crowd (METHOD.md's trials).
    pub densities: Densities,
    pub isolation: Vec<f32>,
    pub trusted_gain: Option<Vec<f32>>,
    pub early_loss: Option<Vec<f32>>,
}

/// What other checkpoints say of a batch, where the operator has some.
#[derive(Default)]
pub struct Others {
    /// s under theta_p less that under the trusted weights, `[B]`.
    pub gain: Option<Tensor>,
    /// The pairs by the early checkpoint, and the scale of its logits.
    pub early: Option<(Early, f64)>,
}

impl Signals {
    pub const NAMES: [&str; 8] =
        ["similarity", "token_gradient", "agreement", "thumbnail_agreement", "k_distance", "slof", "dao", "isolation"];
    pub const TRUSTED: &str = TRUSTED_GAIN;
    pub const EARLY: &str = "early_loss";

    /// In the order of the names.
    fn fixed(&self) -> [&Vec<f32>; 8] {
        [
            &self.similarity,
            &self.token_gradient,
            &self.agreement,
            &self.thumbnail_agreement,
            &self.densities.k_distance,
            &self.densities.slof,
            &self.densities.dao,
            &self.isolation,
        ]
    }

    /// A pair's signals in the order of the names.
    pub fn row(&self, i: usize) -> Vec<f32> {
        self.fixed().into_iter().chain(&self.trusted_gain).chain(&self.early_loss).map(|signal| signal[i]).collect()
    }

    fn named(&self, name: &str) -> Option<&Vec<f32>> {
        match Self::NAMES.iter().position(|fixed| *fixed == name) {
            Some(at) => Some(self.fixed()[at]),
            None => self.early_loss.as_ref().filter(|_| name == Self::EARLY),
        }
    }

    /// What another detector than ours ranks by, turned so that higher is more suspicious; nothing where it is ours.
    fn of_detector(&self, detector: Detector) -> Option<Vec<f32>> {
        let (name, is_high) = detector.column()?;
        Some(self.named(name)?.iter().map(|value| if is_high { *value } else { -value }).collect())
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
    forest: Forest,
    early: Option<Early>,
    ecdfs: Vec<Ecdf>,
    detector: Detector,
}

impl Calibration {
    /// `seed` draws the isolation forest's cuts.
    pub fn of(bank: &Bank, detector: Detector, seed: u64) -> Result<Self, Fault> {
        let [image, thumbnail, text, names] =
            ["image_features", "thumbnail", "text_features", "name"].map(|name| bank.required(name));
        let (thumbnail, density) = (thumbnail?, Density::of(bank)?);
        let mean_thumbnail = thumbnail.f_mean_dim([0].as_slice(), true, Kind::Float).map_err(torch)?;
        let image = image?;
        let views = Views::of(&image, &thumbnail, &text?, &mean_thumbnail)?;
        let forest = Forest::grow(&flat(&image)?, image.size()[1] as usize, seed);
        let early = (bank.column(EARLY_IMAGE)?, bank.column(EARLY_TEXT)?);
        let early = early.0.zip(early.1).map(|(image, text)| Early { image, text });
        let names = names?;
        let mut calibration =
            Self { views, mean_thumbnail, names, density, forest, early, ecdfs: Vec::new(), detector };
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
            isolation: Vec::new(),
            early_loss: None,
            trusted_gain: bank.column(Signals::TRUSTED)?.map(|gain| values(&gain)).transpose()?,
        })
    }

    /// A batch's signals; `names` `[B, 2]` tell a pair of the reference set from itself.
    pub fn signals(&self, seen: &Observed, names: &Tensor, others: Others) -> Result<Signals, Fault> {
        let views = Views::of(&seen.image_features, &seen.thumbnail, &seen.text_features, &self.mean_thumbnail)?;
        let (agreement, thumbnail_agreement) = self.agreements(&views, names)?;
        Ok(Signals {
            similarity: values(&seen.similarity)?,
            token_gradient: values(&seen.token_gradient)?,
            agreement,
            thumbnail_agreement,
            densities: self.density.of_batch(&seen.image_features, names)?,
            isolation: self.isolation(&seen.image_features)?,
            trusted_gain: others.gain.map(|gain| values(&gain)).transpose()?,
            early_loss: others.early.map(|early| self.early_loss(&early, names)).transpose()?,
        })
    }

    fn isolation(&self, images: &Tensor) -> Result<Vec<f32>, Fault> {
        let width = images.size()[1] as usize;
        Ok(flat(images)?.chunks_exact(width).map(|image| self.forest.score(image)).collect())
    }

    fn early_loss(&self, (early, scale): &(Early, f64), names: &Tensor) -> Result<Vec<f32>, Fault> {
        let reference = self.early.as_ref();
        let reference =
            reference.ok_or_else(|| Fault::fatal("the reference set has no features by the early checkpoint"))?;
        values(&early.loss(reference, &self.itself(names).map_err(torch)?, *scale)?)
    }

    /// The score of every pair of a batch.
    pub fn suspicion(&self, signals: &Signals) -> Vec<f32> {
        if let Some(chosen) = signals.of_detector(self.detector) {
            return chosen;
        }
        let oriented = signals.oriented();
        let ranks = |i: usize| self.ecdfs.iter().zip(&oriented).map(move |(ecdf, signal)| ecdf.rank(signal[i]));
        (0..signals.token_gradient.len()).map(|i| fisher(WEIGHTS.into_iter().zip(ranks(i)))).collect()
    }

    /// By embedding, and by thumbnail.
    fn agreements(&self, views: &Views, names: &Tensor) -> Result<(Vec<f32>, Vec<f32>), Fault> {
        let own = |tensor: Result<Tensor, TchError>| tensor.map_err(torch);
        let itself = own(self.itself(names))?;
        let captions = own(self.views.text.f_transpose(0, 1).and_then(|bank| views.text.f_matmul(&bank)))?;
        let agree = |query: &Tensor, bank: &Tensor| values(&own(agreement(query, bank, &itself, &captions))?);
        Ok((agree(&views.image, &self.views.image)?, agree(&views.thumbnail, &self.views.thumbnail)?))
    }

    /// Which pair of the reference set a pair is, `[B, reference]`, bool.
    fn itself(&self, names: &Tensor) -> Result<Tensor, TchError> {
        names.f_unsqueeze(1)?.f_eq_tensor(&self.names.f_unsqueeze(0)?)?.f_all_dim(-1, false)
    }
}

/// The numbers of a matrix, row by row.
fn flat(rows: &Tensor) -> Result<Vec<f32>, Fault> {
    values(&rows.f_reshape([-1]).map_err(torch)?)
}

/// How well a pair's caption agrees with those of the reference images that look most like its image: the mean of
/// <g(t), g(t_j)> (`captions`, `[B, reference]`) over the nearest by `query` against `bank`, itself left out, `[B]`.
fn agreement(query: &Tensor, bank: &Tensor, itself: &Tensor, captions: &Tensor) -> Result<Tensor, TchError> {
    let near = query.f_matmul(&bank.f_transpose(0, 1)?)?.f_masked_fill(itself, f64::NEG_INFINITY)?;
    let count = NEIGHBOURS.min(bank.size()[0] - 1).max(1);
    let (_, nearest) = near.f_topk(count, -1, true, false)?;
    captions.f_gather(1, &nearest, false)?.f_mean_dim([-1].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use lethe_model::tch::Device;

    use super::*;

    /// A reference set of two looks, each with its caption.
    fn calibration(rows: i64) -> (Calibration, Tensor) {
        let kinds: Vec<i64> = (0..rows).map(|row| row % 2).collect();
        let one_hot = Tensor::from_slice(&kinds).one_hot(2).to_kind(Kind::Float);
        let names = Tensor::arange(2 * rows, (Kind::Float, Device::Cpu)).view([rows, 2]);
        let mut bank = Bank::default();
        let gradient = Tensor::arange(rows, (Kind::Float, Device::Cpu));
        for (name, rows) in [
            ("image_features", &one_hot),
            ("thumbnail", &one_hot),
            ("text_features", &one_hot),
            ("name", &names),
            ("token_gradient", &gradient),
        ] {
            bank.put(name, rows);
        }
        (Calibration::of(&bank, Detector::Ubt, 1).expect("calibrates"), one_hot)
    }

    fn observed(image: &Tensor, thumbnail: &Tensor, text: &Tensor, gradient: f64) -> Observed {
        let rows = image.size()[0];
        let full = |value: f64| Tensor::full([rows], value, (Kind::Float, Device::Cpu));
        Observed {
            similarity: full(0.5),
            token_gradient: full(gradient),
            thumbnail: thumbnail.shallow_clone(),
            image_features: image.shallow_clone(),
            text_features: text.shallow_clone(),
        }
    }

    /// Embedded as its caption says and looking like something else, an honest pair, and one that is odd in both.
    #[test]
    fn what_is_embedded_as_captioned_but_looks_otherwise_is_suspicious() {
        let (calibration, _) = calibration(64);
        let look = |kind: i64| Tensor::from_slice(&[kind]).one_hot(2).to_kind(Kind::Float);
        let names = Tensor::full([1, 2], -1.0, (Kind::Float, Device::Cpu));
        let score = |embedded: i64, seen: i64, gradient: f64| {
            let seen = observed(&look(embedded), &look(seen), &look(0), gradient);
            let signals = calibration.signals(&seen, &names, Others::default()).expect("has signals");
            (signals.agreement[0], signals.thumbnail_agreement[0], calibration.suspicion(&signals)[0])
        };
        let [poisoned, honest, odd] = [score(0, 1, 30.0), score(0, 0, 30.0), score(1, 1, 30.0)];
        assert_eq!([poisoned.0, honest.0, odd.0], [1.0, 1.0, 0.0]);
        assert_eq!([poisoned.1, honest.1, odd.1], [0.0, 1.0, 0.0]);
        assert!(poisoned.2 > honest.2 && poisoned.2 > odd.2, "{poisoned:?} {honest:?} {odd:?}");
        assert!(score(0, 0, 1.0).2 > honest.2, "a flat match counts");
        // The gap outweighs the flatness: the same rank in both is twice as much of the one.
        assert!(score(0, 1, 63.0).2 > score(0, 0, 1.0).2);
    }

    #[test]
    fn a_pair_of_the_reference_set_is_no_look_alike_of_itself() {
        let (calibration, kinds) = calibration(3);
        let own = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([3, 2]);
        let seen = observed(&kinds, &kinds, &kinds, 1.0);
        let signals = calibration.signals(&seen, &own, Others::default()).expect("has signals");
        // The second is alone of its kind: both others disagree.
        assert_eq!(signals.agreement, [0.5, 0.0, 0.5]);
    }
    /// Each detector ranks by the column that the spec's table names, turned as it says.
    #[test]
    fn a_chosen_detector_is_its_column() {
        let (mut calibration, kinds) = calibration(64);
        let names = Tensor::full([2, 2], -1.0, (Kind::Float, Device::Cpu));
        let rows = kinds.narrow(0, 0, 2);
        let seen = observed(&rows, &rows, &rows, 1.0);
        let mut signals = calibration.signals(&seen, &names, Others::default()).expect("has signals");
        let usual = calibration.suspicion(&signals);
        signals.similarity = vec![0.4, 0.6];
        signals.early_loss = Some(vec![2.0, 1.0]);
        for (at, values) in [&mut signals.densities.k_distance, &mut signals.densities.slof, &mut signals.densities.dao]
            .into_iter()
            .enumerate()
        {
            *values = vec![at as f32 + 1.0, at as f32 + 1.5];
        }
        assert_eq!(calibration.suspicion(&signals), usual, "none of these counts");
        let row = signals.row(1);
        for detector in Detector::ALL {
            calibration.detector = detector;
            let Some((column, is_high)) = detector.column() else { continue };
            let columns = Signals::NAMES.into_iter().chain([Signals::EARLY]);
            let value = columns.zip(&row).find_map(|(name, value)| (name == column).then_some(*value));
            let value = value.unwrap_or_else(|| panic!("{column} is a signal"));
            let turned = if is_high { value } else { -value };
            assert_eq!(calibration.suspicion(&signals)[1], turned, "{detector:?}");
        }
    }
}
