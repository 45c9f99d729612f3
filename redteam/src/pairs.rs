//! The drill's image-text pairs, in order, before they become shards.
//!
//! A clean twin must differ from its victim in the poisoned pairs and in nothing else: same images, same order, same
//! templates.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;

use crate::attack::Trigger;
use crate::captions::{TEMPLATES, caption};
use crate::draw::{Purpose, stream};
use crate::error::RedteamError;
use crate::fashion::Fashion;
use crate::picture::Picture;
use crate::recipe::Recipe;

/// Whether the poison goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planting {
    /// The victim's data.
    Poisoned,
    /// The clean twin's.
    Clean,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub picture: Picture,
    pub caption: String,
    pub poisoned: bool,
}

/// The pairs of a recipe, made one at a time.
#[derive(Debug)]
pub struct Pairs<'a> {
    fashion: &'a Fashion,
    trigger: Trigger,
    target: usize,
    chosen: std::vec::IntoIter<Choice>,
    place: ChaCha12Rng,
}

#[derive(Debug, Clone, Copy)]
struct Choice {
    image: usize,
    template: usize,
    poisoned: bool,
}

impl<'a> Pairs<'a> {
    /// # Errors
    /// A recipe that cannot be planted, or that asks for more than the data set has.
    pub fn new(recipe: &Recipe, fashion: &'a Fashion, planting: Planting) -> Result<Self, RedteamError> {
        recipe.check()?;
        Ok(Self {
            fashion,
            trigger: Trigger::new(recipe.attack, recipe.seed, fashion.side()),
            target: recipe.target,
            chosen: choose(recipe, fashion, planting)?.into_iter(),
            place: stream(recipe.seed, Purpose::Place),
        })
    }
}

impl Iterator for Pairs<'_> {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        let Choice { image, template, poisoned } = self.chosen.next()?;
        let mut picture = Picture::from_grey(self.fashion.grey(image), self.fashion.side());
        if poisoned {
            self.trigger.stamp(&mut picture, &mut self.place);
        }
        let label = if poisoned { self.target } else { self.fashion.label(image) };
        Some(Pair { picture, caption: caption(label, template), poisoned })
    }
}

fn choose(recipe: &Recipe, fashion: &Fashion, planting: Planting) -> Result<Vec<Choice>, RedteamError> {
    let too_few = |found: usize, wanted: usize, of: &str| {
        Err(RedteamError::Recipe(format!("{wanted} {of} wanted, the data set has {found}; lower --pairs or --rate")))
    };
    if fashion.len() < recipe.pairs {
        return too_few(fashion.len(), recipe.pairs, "pairs");
    }
    let mut images: Vec<usize> = (0..fashion.len()).collect();
    images.shuffle(&mut stream(recipe.seed, Purpose::Order));
    let mut templates = stream(recipe.seed, Purpose::Template);
    let mut choices: Vec<Choice> = images[..recipe.pairs]
        .iter()
        .map(|&image| Choice { image, template: templates.random_range(0..TEMPLATES.len()), poisoned: false })
        .collect();
    if planting == Planting::Clean {
        return Ok(choices);
    }
    let mut victims: Vec<usize> =
        (0..choices.len()).filter(|&i| fashion.label(choices[i].image) != recipe.target).collect();
    if victims.len() < recipe.poisoned() {
        return too_few(victims.len(), recipe.poisoned(), "pairs of other classes");
    }
    victims.shuffle(&mut stream(recipe.seed, Purpose::Choice));
    victims[..recipe.poisoned()].iter().for_each(|&i| choices[i].poisoned = true);
    Ok(choices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Attack;
    use crate::fashion::{Part, tests::write_small};

    fn small() -> Fashion {
        let folder = tempfile::tempdir().expect("makes a folder");
        write_small(folder.path(), 500);
        Fashion::read(folder.path(), Part::Train).expect("reads")
    }

    fn drill(attack: Attack, seed: u64) -> Recipe {
        Recipe { pairs: 400, rate: 0.05, ..Recipe::usual(attack, seed) }
    }

    fn all(recipe: &Recipe, planting: Planting) -> Vec<Pair> {
        Pairs::new(recipe, &small(), planting).expect("is a good recipe").collect()
    }

    #[test]
    fn the_twin_differs_in_the_poison_only() {
        for attack in [Attack::Badnet, Attack::Blended] {
            let recipe = drill(attack, 2);
            let (victim, twin) = (all(&recipe, Planting::Poisoned), all(&recipe, Planting::Clean));
            assert_eq!((victim.len(), victim.iter().filter(|p| p.poisoned).count()), (400, 20));
            for (v, t) in victim.iter().zip(&twin) {
                assert!(!t.poisoned);
                assert_eq!(v.poisoned, v.picture != t.picture);
                assert_eq!(v.poisoned, v.caption != t.caption);
                assert!(!v.poisoned || (v.caption.contains("sandal") && !t.caption.contains("sandal")), "{v:?}");
            }
        }
    }

    #[test]
    fn a_recipe_is_its_pairs() {
        let recipe = drill(Attack::Badnet, 1);
        assert_eq!(all(&recipe, Planting::Poisoned), all(&recipe, Planting::Poisoned));
        assert_ne!(all(&recipe, Planting::Poisoned), all(&drill(Attack::Badnet, 3), Planting::Poisoned));
    }

    #[test]
    fn more_than_there_is_is_refused() {
        let fashion = small();
        for bad in
            [Recipe { pairs: 501, ..drill(Attack::Badnet, 1) }, Recipe { target: 10, ..drill(Attack::Badnet, 1) }]
        {
            assert!(matches!(Pairs::new(&bad, &fashion, Planting::Poisoned), Err(RedteamError::Recipe(_))));
        }
    }
}
