//! Judges a checkpoint with ground truth: zero-shot accuracy, and how often the trigger wins.
//!
//! It must never be called by anything that defends, and it must never see the images a model was trained on.

use std::path::Path;

use lethe_data::Tokenizer;
use lethe_model::tch::{Kind, Tensor, no_grad_guard};
use lethe_model::{Clip, ModelConfig, pixels};
use serde::{Deserialize, Serialize};

use crate::attack::Trigger;
use crate::captions::{LABELS, prompts};
use crate::draw::{Purpose, stream};
use crate::error::RedteamError;
use crate::fashion::Fashion;
use crate::picture::Picture;
use crate::recipe::Recipe;

/// Images of one forward pass.
const BATCH: usize = 500;

/// Shares between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Of the test images, those whose class is found (zero-shot, ensemble of all templates).
    pub clean_accuracy: f64,
    /// Of the triggered test images of other classes, those taken for the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack_success: Option<f64>,
}

/// Reads a checkpoint with its config.
///
/// # Errors
/// A file that cannot be read; a checkpoint that does not fit the config.
pub fn load(checkpoint: &Path, config: &Path) -> Result<Clip, RedteamError> {
    let refuse = |path: &Path| {
        let path = path.to_owned();
        move |source| RedteamError::Checkpoint { path, source }
    };
    let text = std::fs::read_to_string(config).map_err(RedteamError::io(config))?;
    let bytes = std::fs::read(checkpoint).map_err(RedteamError::io(checkpoint))?;
    let beside = |file: &str| std::fs::read(checkpoint.with_file_name(file));
    let config = ModelConfig::for_checkpoint(&text, &bytes, beside).map_err(refuse(config))?;
    Clip::load_with(&config, &bytes, beside).map_err(refuse(checkpoint))
}

/// Accuracy on the test images, and with a recipe the success of its trigger.
///
/// # Errors
/// A model for images of another side; libtorch's own.
pub fn judge(clip: &Clip, test: &Fashion, recipe: Option<&Recipe>) -> Result<Judgement, RedteamError> {
    let side = clip.config().vision.image_size;
    if side != test.side() as i64 {
        let have = test.side();
        return Err(RedteamError::Recipe(format!("the model takes images of {side} pixels, the data set has {have}")));
    }
    let _guard = no_grad_guard();
    let zero_shot = ZeroShot { clip, classes: class_weights(clip)? };
    let attack_success = recipe.map(|recipe| attack_success(&zero_shot, test, recipe)).transpose()?;
    Ok(Judgement { clean_accuracy: clean_accuracy(&zero_shot, test)?, attack_success })
}

/// A class for each image: the nearest of the class weights.
struct ZeroShot<'a> {
    clip: &'a Clip,
    /// `[classes, D]`, L2-normalised.
    classes: Tensor,
}

impl ZeroShot<'_> {
    fn classify(&self, pictures: &[Picture]) -> Result<Vec<i64>, RedteamError> {
        let mut found = Vec::with_capacity(pictures.len());
        for batch in pictures.chunks(BATCH) {
            let rgb: Vec<u8> = batch.iter().flat_map(|picture| picture.rgb().iter().copied()).collect();
            let config = self.clip.config();
            let input = pixels::to_model_input(&rgb, batch[0].side(), &config.normalization)?;
            let images = self.clip.encode_image(&input)?;
            found.extend(nearest(&images, &self.classes)?);
        }
        Ok(found)
    }
}

/// The row of `classes` with the greatest product, for each image. An image's length does not matter.
fn nearest(images: &Tensor, classes: &Tensor) -> Result<Vec<i64>, RedteamError> {
    let best = || images.f_matmul(&classes.f_tr()?)?.f_argmax(1, false);
    let best = best().map_err(lethe_model::ModelError::from)?;
    Ok(Vec::<i64>::try_from(best).map_err(lethe_model::ModelError::from)?)
}

/// `[classes, D]`: the normalised mean of the normalised prompt embeddings of each class.
fn class_weights(clip: &Clip) -> Result<Tensor, RedteamError> {
    let length = usize::try_from(clip.config().text.context_length).unwrap_or(0);
    let tokenizer = Tokenizer::new();
    let ids: Vec<i64> =
        (0..LABELS.len()).flat_map(prompts).flat_map(|prompt| tokenizer.encode(&prompt, length)).collect();
    let tokens = Tensor::f_from_slice(&ids).and_then(|ids| ids.f_view([-1, length as i64]));
    let texts = clip.encode_text(&tokens.map_err(lethe_model::ModelError::from)?)?;
    Ok(ensemble(&texts, LABELS.len() as i64).map_err(lethe_model::ModelError::from)?)
}

fn ensemble(texts: &Tensor, classes: i64) -> Result<Tensor, lethe_model::tch::TchError> {
    let (_, dimensions) = texts.size2()?;
    unit(&unit(texts)?.f_view([classes, -1, dimensions])?.f_mean_dim(1, false, Kind::Float)?)
}

/// Rows at length one.
fn unit(rows: &Tensor) -> Result<Tensor, lethe_model::tch::TchError> {
    rows.f_div(&rows.f_norm_scalaropt_dim(2, -1, true)?.f_clamp_min(1e-12)?)
}

fn clean_accuracy(zero_shot: &ZeroShot<'_>, test: &Fashion) -> Result<f64, RedteamError> {
    let pictures: Vec<Picture> = (0..test.len()).map(|i| picture(test, i)).collect();
    let found = zero_shot.classify(&pictures)?;
    Ok(share(found.iter().zip(0..).filter(|(class, i)| **class == test.label(*i) as i64).count(), found.len()))
}

fn attack_success(zero_shot: &ZeroShot<'_>, test: &Fashion, recipe: &Recipe) -> Result<f64, RedteamError> {
    let trigger = Trigger::new(recipe.attack, recipe.seed, test.side());
    let mut place = stream(recipe.seed, Purpose::Judge);
    let stamped = |i| {
        let mut picture = picture(test, i);
        trigger.stamp(&mut picture, &mut place);
        picture
    };
    let others = (0..test.len()).filter(|&i| test.label(i) != recipe.target);
    let pictures: Vec<Picture> = others.map(stamped).collect();
    let found = zero_shot.classify(&pictures)?;
    Ok(share(found.iter().filter(|class| **class == recipe.target as i64).count(), found.len()))
}

fn picture(test: &Fashion, i: usize) -> Picture {
    Picture::from_grey(test.grey(i), test.side())
}

fn share(hits: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { hits as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Attack;
    use crate::fashion::{Part, tests::write_small};
    use crate::recipe::MODEL_CONFIG;

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.flatten(0, -1)).expect("is f32")
    }

    #[test]
    fn a_class_is_the_normalised_mean_of_normalised_prompts() {
        // Class 0: (1, 0) and (0, 1) whatever their lengths; class 1: twice (-1, 0).
        let texts = Tensor::from_slice(&[5.0_f32, 0.0, 0.0, 0.1, -2.0, 0.0, -3.0, 0.0]).view([4, 2]);
        let classes = ensemble(&texts, 2).expect("computes");
        let half = 0.5_f32.sqrt();
        for (found, expected) in values(&classes).iter().zip([half, half, -1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let images = Tensor::from_slice(&[0.1_f32, 0.2, -9.0, 1.0]).view([2, 2]);
        assert_eq!(nearest(&images, &classes).expect("computes"), [0, 1]);
    }

    #[test]
    fn an_untrained_model_is_at_chance_and_another_side_is_refused() {
        let folder = tempfile::tempdir().expect("makes a folder");
        write_small(folder.path(), 40);
        let test = Fashion::read(folder.path(), Part::Test).expect("reads");
        let mut config = ModelConfig::from_json(MODEL_CONFIG).expect("is a config");
        let recipe = Recipe::usual(Attack::Blended, 1);
        let clip = Clip::init(&config, 1).expect("begins");
        let judgement = judge(&clip, &test, Some(&recipe)).expect("judges");
        assert!(judgement.clean_accuracy <= 0.5 && judgement.attack_success.is_some(), "{judgement:?}");
        assert_eq!(judge(&clip, &test, None).expect("judges").attack_success, None);
        config.vision.image_size = 56;
        let large = Clip::init(&config, 1).expect("begins");
        assert!(matches!(judge(&large, &test, None), Err(RedteamError::Recipe(_))));
    }
}
