//! The data sets that drills are made of, behind one face: pictures with captions, ten targets, and an exam for the judge.
//!
//! Nothing outside this file and the data sets' own may ask which data set it has.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::captions::{self, LABELS, TEMPLATES};
use crate::drawings::{self, Drawings};
use crate::error::RedteamError;
use crate::fashion::Fashion;
use crate::picture::Picture;
use crate::recipe::Recipe;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSet {
    /// Grey product photographs of ten classes with template captions.
    #[default]
    FashionMnist,
    /// Clip art and emoji with the names that their authors gave them.
    Drawings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// To draw training pairs from.
    Train,
    /// What only the judge sees.
    Test,
}

impl DataSet {
    pub const ALL: [Self; 2] = [Self::FashionMnist, Self::Drawings];

    pub fn name(self) -> &'static str {
        match self {
            Self::FashionMnist => "fashion-mnist",
            Self::Drawings => "drawings",
        }
    }

    /// Reads one part from the folder that the data set's script prints.
    ///
    /// # Errors
    /// A folder that does not hold the data set.
    pub fn read(self, folder: &Path, part: Part) -> Result<Box<dyn Pool>, RedteamError> {
        Ok(match self {
            Self::FashionMnist => Box::new(Fashion::read(folder, part)?),
            Self::Drawings => Box::new(Drawings::read(folder, part)?),
        })
    }

    /// What a poisoned pair says of its target; both numbers are taken modulo their table's length.
    pub fn target_caption(self, target: usize, template: usize) -> String {
        match self {
            Self::FashionMnist => captions::caption(target, template),
            Self::Drawings => drawings::target_caption(target, template),
        }
    }

    /// Every template's caption of a target.
    pub fn target_prompts(self, target: usize) -> Vec<String> {
        (0..TEMPLATES.len()).map(|template| self.target_caption(target, template)).collect()
    }
}

/// Pictures with captions, of one part of a data set.
pub trait Pool: fmt::Debug {
    fn data_set(&self) -> DataSet;

    /// The number of pictures.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of a side.
    fn side(&self) -> usize;

    fn picture(&self, image: usize) -> Picture;

    /// The honest caption; the template is taken modulo their number.
    fn caption(&self, image: usize, template: usize) -> String;

    /// Whether a picture shows what a target's captions say.
    fn shows(&self, image: usize, target: usize) -> bool;

    /// The first target that a picture shows.
    fn target_of(&self, image: usize) -> Option<usize> {
        (0..LABELS.len()).find(|&target| self.shows(image, target))
    }

    /// Which pictures a drill has, and in which order.
    fn deal(&self, recipe: &Recipe) -> Hands;

    /// What the judge asks of a model about this part.
    fn exam(&self) -> Exam;
}

/// The pictures that are a drill's, and those that never are: public weights and attackers learn from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hands {
    pub drill: Vec<usize>,
    pub public: Vec<usize>,
}

/// Which of these answers belongs to each picture of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exam {
    /// The prompts of each answer, [`TEMPLATES`] of them.
    pub answers: Vec<Vec<String>>,
    /// The right answer of each picture.
    pub right: Vec<usize>,
    /// A picture is recognised where its answer is among so many nearest.
    pub top: usize,
    /// For each target those answers that speak of it.
    pub targets: Vec<Vec<usize>>,
}

impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DataSet {
    type Err = RedteamError;
    fn from_str(text: &str) -> Result<Self, RedteamError> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|data| data.name() == text)
            .ok_or_else(|| RedteamError::Recipe(format!("no data set is called {text:?}; expected one of {}", names())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_records_and_of_the_command_line() {
        for data in DataSet::ALL {
            assert_eq!(serde_json::to_value(data).expect("is a word"), data.name());
            assert_eq!(data.name().parse::<DataSet>().expect("is a data set"), data);
        }
        let error = "mnist".parse::<DataSet>().expect_err("is none");
        assert!(error.to_string().contains("fashion-mnist, drawings"), "{error}");
    }

    #[test]
    fn every_data_set_has_ten_targets_that_differ() {
        for data in DataSet::ALL {
            let mut captions: Vec<String> = (0..LABELS.len()).flat_map(|target| data.target_prompts(target)).collect();
            captions.sort();
            captions.dedup();
            assert_eq!(captions.len(), LABELS.len() * TEMPLATES.len());
        }
    }
}
