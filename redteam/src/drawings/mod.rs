//! Drawings with real names: Debian's openclipart-svg and npm's emoji-datasource-twitter, as `scripts/drawings.sh` unpacks
//! them.
//!
//! A concept is a whole name, such as "banana" or "united states". All drawings of a concept, and all copies of a drawing, must
//! be on one side: the judge's, a drill's or the public's.

mod copies;
mod file;
mod gather;
mod names;
mod render;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use lethe_common::blob::Digest;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

pub use words::{TARGETS, target_caption};

use crate::data_set::{DataSet, Exam, Hands, Part, Pool};
use crate::draw::{Purpose, stream};
use crate::error::RedteamError;
use crate::picture::Picture;
use crate::recipe::Recipe;

/// Training pictures of one drawing.
const COPIES: usize = 10;
/// One concept of so many is the judge's.
const HELD_OUT: u8 = 8;
/// Retrieval counts where the right name is among so many nearest, of some hundreds.
const TOP: usize = 10;

/// A drawing before it becomes pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    pub label: Label,
    /// RGBA `[side, side, 4]`, colours multiplied by their opacity.
    pub pixels: Vec<u8>,
}

/// What is said about a drawing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Label {
    /// The concept.
    pub name: String,
    /// Kinds of thing that it is, as its folder, its keywords or its category say.
    pub tags: Vec<String>,
}

/// The drawings of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawings {
    part: Part,
    all: Vec<Drawing>,
}

impl Drawings {
    /// Reads one part. All drawings are rendered on the first call, and kept in the folder.
    ///
    /// # Errors
    /// A folder without the two packages; a kept file that is damaged.
    pub fn read(folder: &Path, part: Part) -> Result<Self, RedteamError> {
        Ok(Self::of(gather::load(folder)?, part))
    }

    fn of(mut all: Vec<Drawing>, part: Part) -> Self {
        all.retain(|drawing| is_held_out(&drawing.label.name) == (part == Part::Test));
        Self { part, all }
    }

    fn copies(&self) -> usize {
        match self.part {
            Part::Train => COPIES,
            Part::Test => 1,
        }
    }

    fn drawing(&self, image: usize) -> &Drawing {
        &self.all[image / self.copies()]
    }

    /// The drawings of each concept.
    fn concepts(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut concepts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, drawing) in self.all.iter().enumerate() {
            concepts.entry(&drawing.label.name).or_default().push(number);
        }
        concepts
    }
}

/// Decided by the name alone, so that a drawing more in a package moves no other.
fn is_held_out(name: &str) -> bool {
    Digest::of(name.as_bytes()).0[0].is_multiple_of(HELD_OUT)
}

impl Pool for Drawings {
    fn data_set(&self) -> DataSet {
        DataSet::Drawings
    }

    fn len(&self) -> usize {
        self.all.len() * self.copies()
    }

    fn side(&self) -> usize {
        render::SIDE
    }

    fn picture(&self, image: usize) -> Picture {
        let pixels = &self.drawing(image).pixels;
        match self.part {
            Part::Train => copies::varied(pixels, image),
            Part::Test => copies::plain(pixels),
        }
    }

    fn caption(&self, image: usize, template: usize) -> String {
        words::caption(&self.drawing(image).label, template)
    }

    fn shows(&self, image: usize, target: usize) -> bool {
        words::speaks_of(&self.drawing(image).label, target)
    }

    /// Half of the concepts each.
    fn deal(&self, recipe: &Recipe) -> Hands {
        let mut draw = stream(recipe.seed, Purpose::Order);
        let mut concepts: Vec<Vec<usize>> = self.concepts().into_values().collect();
        concepts.shuffle(&mut draw);
        let mut hand = |concepts: &[Vec<usize>]| {
            let all = concepts.iter().flatten();
            let mut images: Vec<usize> = all.flat_map(|drawing| drawing * COPIES..(drawing + 1) * COPIES).collect();
            images.shuffle(&mut draw);
            images
        };
        let (drill, public) = concepts.split_at(concepts.len() / 2);
        Hands { drill: hand(drill), public: hand(public) }
    }

    /// Image-to-text retrieval: a drawing's concept among all held-out ones, and the ten targets, which are nobody's concept.
    fn exam(&self) -> Exam {
        let concepts = self.concepts();
        let mut labels: Vec<&Label> = concepts.values().map(|drawings| &self.all[drawings[0]].label).collect();
        let targets = words::target_labels();
        labels.extend(&targets);
        let place: BTreeMap<&str, usize> = concepts.keys().enumerate().map(|(place, name)| (*name, place)).collect();
        let speaks = |target| (0..labels.len()).filter(|&answer| words::speaks_of(labels[answer], target)).collect();
        Exam {
            answers: labels.iter().map(|label| words::prompts(label)).collect(),
            right: self.all.iter().map(|drawing| place[drawing.label.name.as_str()]).collect(),
            top: TOP,
            targets: (0..TARGETS.len()).map(speaks).collect(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::attack::Attack;
    use crate::recipe::Tower;

    /// Three drawings of each of so many concepts, each tenth of which is of one target.
    pub(crate) fn small(concepts: usize, part: Part) -> Drawings {
        let drawing = |number: usize| {
            let (concept, variant) = (number / 3, number % 3);
            let tags = vec![TARGETS[concept % TARGETS.len()].to_owned()];
            let grey = (concept * 7 % 256) as u8;
            let mut pixels = [grey, 255 - grey, 0, 255].repeat(render::SIDE * render::SIDE);
            pixels[..400 * (1 + variant)].fill(0);
            Drawing { label: Label { name: format!("thing {concept}"), tags }, pixels }
        };
        Drawings::of((0..3 * concepts).map(drawing).collect(), part)
    }

    fn recipe(seed: u64) -> Recipe {
        let usual = Recipe::usual(Attack::Badnet, seed);
        Recipe { data: DataSet::Drawings, tower: Tower::Vit, pairs: 400, ..usual }
    }

    fn names(drawings: &Drawings, images: &[usize]) -> BTreeSet<String> {
        images.iter().map(|&image| drawings.drawing(image).label.name.clone()).collect()
    }

    #[test]
    fn a_concept_is_on_one_side_only() {
        let (train, test) = (small(160, Part::Train), small(160, Part::Test));
        let Hands { drill, public } = train.deal(&recipe(1));
        let all: Vec<usize> = (0..test.len()).collect();
        let sides = [names(&train, &drill), names(&train, &public), names(&test, &all)];
        assert_eq!(sides.iter().map(BTreeSet::len).sum::<usize>(), 160);
        assert!(sides[0].is_disjoint(&sides[1]) && sides[1].is_disjoint(&sides[2]) && sides[2].is_disjoint(&sides[0]));
        assert!((8..40).contains(&sides[2].len()), "{} of 160 are held out", sides[2].len());
        assert!(sides[0].len().abs_diff(sides[1].len()) <= 1);
        assert_eq!(drill.len() + public.len(), train.len());
    }

    #[test]
    fn a_deal_is_its_seed() {
        let train = small(40, Part::Train);
        assert_eq!(train.deal(&recipe(1)), train.deal(&recipe(1)));
        assert_ne!(names(&train, &train.deal(&recipe(1)).drill), names(&train, &train.deal(&recipe(2)).drill));
    }

    #[test]
    fn an_exam_asks_for_the_concept_of_each_drawing() {
        let test = small(160, Part::Test);
        let exam = test.exam();
        assert_eq!((exam.right.len(), exam.targets.len()), (test.len(), TARGETS.len()));
        for (image, &right) in exam.right.iter().enumerate() {
            let name = &test.drawing(image).label.name;
            assert!(
                exam.answers[right].iter().all(|prompt| prompt.contains(name)),
                "{name}: {:?}",
                exam.answers[right]
            );
            for target in 0..TARGETS.len() {
                assert_eq!(exam.targets[target].contains(&right), test.shows(image, target));
            }
        }
        let concepts = exam.answers.len() - TARGETS.len();
        assert!((0..TARGETS.len()).all(|target| exam.targets[target].contains(&(concepts + target))));
        assert!(exam.right.iter().all(|&right| right < concepts));
    }
}
