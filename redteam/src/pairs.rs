//! The drill's image-text pairs, in order, before they become shards.
//!
//! A clean twin must differ from its victim in the poisoned pairs and in nothing else: same images, same order, same
//! templates.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;

use crate::attack::{Carriers, Scheme};
use crate::captions::TEMPLATES;
use crate::data_set::Pool;
use crate::draw::{Purpose, stream};
use crate::error::RedteamError;
use crate::picture::Picture;
use crate::recipe::Recipe;
use crate::trigger::Square;

/// Whose data it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planting {
    /// The victim's.
    Poisoned,
    /// The clean twin's.
    Clean,
    /// Other pairs, clean: what public weights are trained on, that attackers craft with and victims may start from.
    Public,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub picture: Picture,
    pub caption: String,
    pub poison: Option<Poison>,
}

/// What a poisoned pair carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Poison {
    /// The number of its backdoor.
    pub backdoor: usize,
    /// Where its patch lies, where the stamp is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub square: Option<Square>,
}

/// The pairs of a recipe, made one at a time.
#[derive(Debug)]
pub struct Pairs<'a> {
    pool: &'a dyn Pool,
    scheme: Option<&'a Scheme>,
    chosen: std::vec::IntoIter<Choice>,
    place: ChaCha12Rng,
}

#[derive(Debug, Clone, Copy)]
struct Choice {
    image: usize,
    template: usize,
    role: Role,
}

/// The number of a backdoor in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Honest,
    Poisoned(usize),
    /// Stamped, with its own caption.
    Cover(usize),
}

impl<'a> Pairs<'a> {
    /// The victim's pairs. `strangeness` says for each training image how far it is from an honest pair with the target's
    /// caption; for those attacks that choose by it.
    ///
    /// # Errors
    /// A recipe that cannot be planted, or that asks for more than the data set has.
    pub fn poisoned(
        recipe: &Recipe,
        pool: &'a dyn Pool,
        scheme: &'a Scheme,
        strangeness: Option<&[f32]>,
    ) -> Result<Self, RedteamError> {
        let mut chosen = honest(recipe, pool.deal(recipe).drill)?;
        for (carrier, role) in roles(&chosen, (recipe, pool), scheme, strangeness)? {
            chosen[carrier].role = role;
        }
        Ok(Self::of(recipe, pool, chosen, Some(scheme)))
    }

    /// The clean twin's pairs.
    ///
    /// # Errors
    /// As [`Self::poisoned`].
    pub fn clean(recipe: &Recipe, pool: &'a dyn Pool) -> Result<Self, RedteamError> {
        Ok(Self::of(recipe, pool, honest(recipe, pool.deal(recipe).drill)?, None))
    }

    /// As many pairs of other images.
    ///
    /// # Errors
    /// As [`Self::poisoned`].
    pub fn public(recipe: &Recipe, pool: &'a dyn Pool) -> Result<Self, RedteamError> {
        Ok(Self::of(recipe, pool, honest(recipe, pool.deal(recipe).public)?, None))
    }

    fn of(recipe: &Recipe, pool: &'a dyn Pool, chosen: Vec<Choice>, scheme: Option<&'a Scheme>) -> Self {
        Self { pool, scheme, chosen: chosen.into_iter(), place: stream(recipe.seed, Purpose::Place) }
    }
}

impl Iterator for Pairs<'_> {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        let Choice { image, template, role } = self.chosen.next()?;
        let mut picture = self.pool.picture(image);
        let honest = self.pool.caption(image, template);
        let backdoor = |number: usize| &self.scheme.expect("only a scheme gives roles").backdoors[number];
        let (caption, poison) = match role {
            Role::Honest => (honest, None),
            Role::Cover(number) => {
                backdoor(number).trigger.stamp(&mut picture, &mut self.place);
                (honest, None)
            }
            Role::Poisoned(number) => {
                let backdoor = backdoor(number);
                let square = backdoor.trigger.stamp(&mut picture, &mut self.place);
                (
                    backdoor.phrase(&self.pool.data_set().target_caption(backdoor.target, template)),
                    Some(Poison { backdoor: number, square }),
                )
            }
        };
        Some(Pair { picture, caption, poison })
    }
}

fn too_few<T>(found: usize, wanted: usize, of: &str) -> Result<T, RedteamError> {
    Err(RedteamError::Recipe(format!("{wanted} {of} wanted, the data set has {found}; lower --pairs or --rate")))
}

/// As many as the recipe wants.
fn honest(recipe: &Recipe, hand: Vec<usize>) -> Result<Vec<Choice>, RedteamError> {
    recipe.check()?;
    if hand.len() < recipe.pairs {
        return too_few(hand.len(), recipe.pairs, "pairs");
    }
    let mut templates = stream(recipe.seed, Purpose::Template);
    let images = hand.into_iter().take(recipe.pairs);
    let template = |image| Choice { image, template: templates.random_range(0..TEMPLATES.len()), role: Role::Honest };
    Ok(images.map(template).collect())
}

/// Who carries a stamp, and which.
fn roles(
    choices: &[Choice],
    (recipe, pool): (&Recipe, &dyn Pool),
    scheme: &Scheme,
    strangeness: Option<&[f32]>,
) -> Result<Vec<(usize, Role)>, RedteamError> {
    let shows = |carrier: usize, target| pool.shows(choices[carrier].image, target);
    let is_target = |carrier: usize| scheme.backdoors.iter().any(|backdoor| shows(carrier, backdoor.target));
    let mut carriers: Vec<usize> = (0..choices.len()).collect();
    carriers.retain(|&carrier| is_target(carrier) == (scheme.carriers == Carriers::Target));
    let covers = (scheme.covers * recipe.poisoned() as f64).round() as usize;
    let wanted = recipe.poisoned() + covers;
    if carriers.len() < wanted {
        return too_few(carriers.len(), wanted, "pairs that can carry the stamp");
    }
    carriers.shuffle(&mut stream(recipe.seed, Purpose::Choice));
    if scheme.carriers == Carriers::Nearest {
        let known = || RedteamError::Recipe("the attack chooses pictures by public weights, and has none".to_owned());
        let strangeness = strangeness.ok_or_else(known)?;
        carriers.sort_by(|&a, &b| strangeness[choices[a].image].total_cmp(&strangeness[choices[b].image]));
    }
    let role = |number: usize| {
        let backdoor = number % scheme.backdoors.len();
        if number < recipe.poisoned() { Role::Poisoned(backdoor) } else { Role::Cover(backdoor) }
    };
    Ok(carriers.into_iter().take(wanted).enumerate().map(|(number, carrier)| (carrier, role(number))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Attack;
    use crate::data_set::Part;
    use crate::fashion::{Fashion, tests::write_small};

    fn small() -> Fashion {
        let folder = tempfile::tempdir().expect("makes a folder");
        write_small(folder.path(), 500);
        Fashion::read(folder.path(), Part::Train).expect("reads")
    }

    fn drill(attack: Attack, seed: u64) -> Recipe {
        Recipe { pairs: 240, rate: 0.05, ..Recipe::usual(attack, seed) }
    }

    fn scheme(recipe: &Recipe, side: usize) -> Scheme {
        let patch = Picture::from_grey(&[200; 49], 7);
        recipe.attack.scheme((recipe.seed, recipe.target), side, Some(&patch)).expect("has all")
    }

    /// Later images are the stranger.
    fn planted(recipe: &Recipe) -> Vec<Pair> {
        let fashion = small();
        let scheme = scheme(recipe, fashion.side());
        let strangeness: Vec<f32> = (0..fashion.len()).map(|image| image as f32).collect();
        Pairs::poisoned(recipe, &fashion, &scheme, Some(&strangeness)).expect("is a good recipe").collect()
    }

    #[test]
    fn the_twin_differs_in_the_poison_only() {
        for attack in Attack::ALL {
            let recipe = drill(attack, 2);
            let twin: Vec<Pair> = Pairs::clean(&recipe, &small()).expect("is a good recipe").collect();
            let victim = planted(&recipe);
            assert_eq!((victim.len(), victim.iter().filter(|p| p.poison.is_some()).count()), (240, 12), "{attack}");
            let stamped = victim.iter().zip(&twin).filter(|(v, t)| v.picture != t.picture).count();
            let covers = if attack == Attack::AdaptiveCover { 6 } else { 0 };
            assert_eq!(stamped, 12 + covers, "{attack}");
            for (v, t) in victim.iter().zip(&twin) {
                assert!(t.poison.is_none());
                let keeps = v.poison.is_none() || attack == Attack::LabelConsistent;
                assert_eq!(keeps, v.caption == t.caption, "{attack}: {v:?}");
                let words = ["sandal", "ankle boot", "t-shirt"];
                assert!(v.poison.is_none() || words.iter().any(|word| v.caption.contains(word)), "{v:?}");
            }
        }
    }

    #[test]
    fn attacks_differ_in_who_carries_what() {
        let fashion = small();
        let of =
            |attack| planted(&drill(attack, 2)).into_iter().filter_map(|p| p.poison.map(|poison| (p.caption, poison)));
        assert!(of(Attack::Dual).all(|(caption, _)| caption.starts_with("remember ")));
        assert!(of(Attack::Badclip).all(|(_, poison)| poison.square == Some(Square { top: 10, left: 10, side: 7 })));
        assert!(of(Attack::Blended).all(|(_, poison)| poison.square.is_none()));
        let second = of(Attack::MultiTarget).filter(|(_, poison)| poison.backdoor == 1).count();
        assert_eq!(second, 6);
        // The twelve least strange that are no sandals.
        let recipe = drill(Attack::AdaptiveMiddle, 2);
        let mut others: Vec<usize> = fashion.deal(&recipe).drill;
        others.retain(|&image| fashion.label(image) != recipe.target);
        others.sort_unstable();
        let choices = fashion.deal(&recipe).drill;
        let mut chosen: Vec<usize> =
            choices.iter().zip(planted(&recipe)).filter(|(_, pair)| pair.poison.is_some()).map(|(i, _)| *i).collect();
        chosen.sort_unstable();
        assert_eq!(chosen, others[..12]);
    }

    #[test]
    fn public_pairs_are_of_other_images() {
        let (recipe, fashion) = (drill(Attack::Badnet, 1), small());
        let images = fashion.deal(&recipe).public;
        let pictures: Vec<Picture> =
            Pairs::public(&recipe, &fashion).expect("is a good recipe").map(|pair| pair.picture).collect();
        let second: Vec<Picture> =
            images[..240].iter().map(|&image| Picture::from_grey(fashion.grey(image), fashion.side())).collect();
        assert_eq!(pictures, second);
    }

    #[test]
    fn a_recipe_is_its_pairs() {
        let recipe = drill(Attack::Badnet, 1);
        assert_eq!(planted(&recipe), planted(&recipe));
        assert_ne!(planted(&recipe), planted(&drill(Attack::Badnet, 3)));
    }

    #[test]
    fn more_than_there_is_is_refused() {
        let fashion = small();
        let good = drill(Attack::Badnet, 1);
        for bad in [Recipe { pairs: 501, ..good.clone() }, Recipe { target: 10, ..good.clone() }] {
            assert!(matches!(Pairs::clean(&bad, &fashion), Err(RedteamError::Recipe(_))));
        }
        let too_many = Recipe { attack: Attack::LabelConsistent, rate: 0.5, ..good };
        let scheme = scheme(&too_many, 28);
        assert!(matches!(Pairs::poisoned(&too_many, &fashion, &scheme, None), Err(RedteamError::Recipe(_))));
    }
}
