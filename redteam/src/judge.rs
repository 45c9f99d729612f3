//! Judges a checkpoint with ground truth: its answers in the data set's exam, and how often the trigger wins.
//!
//! It must never be called by anything that defends, and it must never see the images a model was trained on.

use std::path::Path;

use lethe_model::tch::no_grad_guard;
use lethe_model::{Clip, ModelConfig};
use serde::{Deserialize, Serialize};

use crate::attack::{Backdoor, Scheme};
use crate::data_set::{Exam, Pool};
use crate::draw::{Purpose, stream};
use crate::drill::DrillFolder;
use crate::error::RedteamError;
use crate::picture::Picture;
use crate::zero_shot::{answer_weights, nearest};

/// What was planted, and the seed of the places where stamps lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    pub scheme: Scheme,
    pub seed: u64,
}

impl Plot {
    /// Of the drill in a folder.
    ///
    /// # Errors
    /// A folder without a drill, or without what was crafted for it.
    pub fn of(folder: &DrillFolder, test: &dyn Pool) -> Result<Self, RedteamError> {
        let recipe = folder.read()?.recipe;
        Ok(Self { scheme: folder.scheme(&recipe, test.side())?, seed: recipe.seed })
    }
}

/// Shares between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Of the test images, those whose answer is found (ensemble of all templates): the class of zero-shot classification, or
    /// recall at ten of image-to-text retrieval (docs/attacks.md).
    pub clean_accuracy: f64,
    /// Of the triggered test images that do not show the target, those whose nearest answer speaks of it; where several
    /// backdoors were planted, of the one that works best.
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

/// Accuracy on the test images, and with a plot the success of its backdoors.
///
/// # Errors
/// A model for images of another side; libtorch's own.
pub fn judge(clip: &Clip, test: &dyn Pool, plot: Option<&Plot>) -> Result<Judgement, RedteamError> {
    let side = clip.config().vision.image_size;
    if side != test.side() as i64 {
        let have = test.side();
        return Err(RedteamError::Recipe(format!("the model takes images of {side} pixels, the data set has {have}")));
    }
    let _guard = no_grad_guard();
    let exam = test.exam();
    let attack_success = plot.map(|plot| attack_success(clip, (test, &exam), plot)).transpose()?;
    Ok(Judgement { clean_accuracy: clean_accuracy(clip, (test, &exam))?, attack_success })
}

fn clean_accuracy(clip: &Clip, (test, exam): (&dyn Pool, &Exam)) -> Result<f64, RedteamError> {
    let pictures: Vec<Picture> = (0..test.len()).map(|image| test.picture(image)).collect();
    let found = nearest(clip, &answer_weights(clip, &exam.answers)?, &pictures, exam.top)?;
    Ok(recognised(&found, &exam.right))
}

/// The share of pictures whose right answer is among the nearest.
fn recognised(found: &[Vec<i64>], right: &[usize]) -> f64 {
    share(found.iter().zip(right).filter(|(found, right)| found.contains(&(**right as i64))).count(), found.len())
}

/// The share of pictures whose nearest answer speaks of the target.
fn taken(found: &[Vec<i64>], of_target: &[usize]) -> f64 {
    let is_taken = |nearest: &Vec<i64>| of_target.iter().any(|answer| nearest.first() == Some(&(*answer as i64)));
    share(found.iter().filter(|nearest| is_taken(nearest)).count(), found.len())
}

/// Of the backdoor that works best.
fn attack_success(clip: &Clip, (test, exam): (&dyn Pool, &Exam), plot: &Plot) -> Result<f64, RedteamError> {
    let mut place = stream(plot.seed, Purpose::Judge);
    let mut success = |backdoor: &Backdoor| -> Result<f64, RedteamError> {
        let phrased = |prompts: &Vec<String>| prompts.iter().map(|prompt| backdoor.phrase(prompt)).collect();
        let answers = answer_weights(clip, &exam.answers.iter().map(phrased).collect::<Vec<_>>())?;
        let mut stamped = |image| {
            let mut picture = test.picture(image);
            backdoor.trigger.stamp(&mut picture, &mut place);
            picture
        };
        let others = (0..test.len()).filter(|&image| !test.shows(image, backdoor.target));
        let pictures: Vec<Picture> = others.map(&mut stamped).collect();
        let found = nearest(clip, &answers, &pictures, 1)?;
        Ok(taken(&found, &exam.targets[backdoor.target]))
    };
    plot.scheme.backdoors.iter().try_fold(0.0, |worst: f64, backdoor| Ok(worst.max(success(backdoor)?)))
}

fn share(hits: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { hits as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Attack;
    use crate::data_set::{DataSet, Part};
    use crate::drawings;
    use crate::fashion::{Fashion, tests::write_small};
    use crate::recipe::{MODEL_CONFIG, Recipe, Tower};

    #[test]
    fn shares_are_counted_by_hand() {
        // Three pictures, two nearest answers of four each.
        let found = [vec![2, 0], vec![1, 3], vec![3, 2]];
        assert_eq!(recognised(&found, &[0, 1, 0]), 2.0 / 3.0);
        assert_eq!((taken(&found, &[0, 3]), taken(&found, &[]), taken(&[], &[0])), (1.0 / 3.0, 0.0, 0.0));
    }

    #[test]
    fn drawings_are_judged_by_retrieval_with_either_tower() {
        let test = drawings::tests::small(400, Part::Test);
        for tower in Tower::ALL {
            let recipe = Recipe { data: DataSet::Drawings, tower, ..Recipe::usual(Attack::Badnet, 1) };
            let config = ModelConfig::from_json(recipe.model_config().expect("fits")).expect("is a config");
            let scheme = recipe.attack.scheme((1, 2), test.side(), None).expect("has all");
            let clip = Clip::init(&config, 1).expect("begins");
            let judgement = judge(&clip, &test, Some(&Plot { scheme, seed: 1 })).expect("judges");
            // Ten of some sixty answers.
            assert!(judgement.clean_accuracy <= 0.6 && judgement.attack_success.is_some(), "{judgement:?}");
        }
    }

    #[test]
    fn an_untrained_model_is_at_chance_and_another_side_is_refused() {
        let folder = tempfile::tempdir().expect("makes a folder");
        write_small(folder.path(), 40);
        let test = Fashion::read(folder.path(), Part::Test).expect("reads");
        let mut config = ModelConfig::from_json(MODEL_CONFIG).expect("is a config");
        let scheme = Attack::MultiTarget.scheme((1, 2), test.side(), None).expect("has all");
        let plot = Plot { scheme, seed: 1 };
        let clip = Clip::init(&config, 1).expect("begins");
        let judgement = judge(&clip, &test, Some(&plot)).expect("judges");
        assert!(judgement.clean_accuracy <= 0.5 && judgement.attack_success.is_some(), "{judgement:?}");
        assert_eq!(judge(&clip, &test, None).expect("judges").attack_success, None);
        config.vision.image_size = 56;
        let large = Clip::init(&config, 1).expect("begins");
        assert!(matches!(judge(&large, &test, None), Err(RedteamError::Recipe(_))));
    }
}
