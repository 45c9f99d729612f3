//! What victims share but for their attack, seed and target. Figures of one setting never stand in the sum of another's.

use std::cmp::{Ordering, Reverse};
use std::fmt;

use lethe_redteam::data_set::DataSet;
use lethe_redteam::recipe::{Recipe, Start, Tower};

use crate::arguments::Defence;

#[derive(Debug, Clone, Copy)]
pub struct Setting {
    data: DataSet,
    tower: Tower,
    start: Start,
    pairs: usize,
    rate: f64,
    epochs: u32,
}

impl Setting {
    pub fn of(recipe: &Recipe) -> Self {
        let &Recipe { attack: _, seed: _, target: _, data, tower, start, pairs, rate, epochs } = recipe;
        Self { data, tower, start, pairs, rate, epochs }
    }

    /// By data, tower and start; then what is usual before others, and of these the most poison first.
    fn order(&self) -> impl Ord {
        let Self { data, tower, start, pairs, rate, epochs } = *self;
        // A share is no less than 0, and such numbers are in the order of their bits.
        let others = ((pairs != Recipe::PAIRS, pairs), (rate != Recipe::RATE, Reverse(rate.to_bits())));
        (data, tower, start != Start::Scratch, others, (epochs != Defence::EPOCHS, epochs))
    }
}

impl Ord for Setting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Setting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Setting {}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data, tower, start, pairs, rate, epochs } = self;
        let poison = format!("{:.3}", 100.0 * rate);
        let poison = poison.trim_end_matches('0').trim_end_matches('.');
        let start = match start {
            Start::Scratch => "trained from scratch",
            Start::Public => "fine-tuned from public weights",
        };
        write!(f, "{data}, {tower}, {poison} % poisoned, {start}")?;
        if *pairs != Recipe::PAIRS {
            write!(f, ", {pairs} pairs")?;
        }
        if *epochs != Defence::EPOCHS {
            write!(f, ", {epochs} epochs")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lethe_redteam::attack::Attack;

    use super::*;

    #[test]
    fn the_usual_one_comes_first_and_each_says_what_it_is() {
        let usual = Recipe { epochs: Defence::EPOCHS, ..Recipe::usual(Attack::Badnet, 1) };
        let recipes = [
            usual.clone(),
            Recipe { epochs: 4, ..usual.clone() },
            Recipe { rate: 0.005, ..usual.clone() },
            Recipe { rate: 0.001, ..usual.clone() },
            Recipe { start: Start::Public, ..usual.clone() },
            Recipe { data: DataSet::Drawings, ..usual.clone() },
            Recipe { data: DataSet::Drawings, tower: Tower::Resnet, pairs: 500, ..usual.clone() },
        ];
        let settings: Vec<Setting> = recipes.iter().map(Setting::of).collect();
        assert!(settings.windows(2).all(|pair| pair[0] < pair[1]), "{settings:?}");
        assert_eq!(Setting::of(&Recipe { seed: 2, target: 5, attack: Attack::Sig, ..usual }), settings[0]);
        let texts: Vec<String> = settings.iter().map(Setting::to_string).collect();
        assert_eq!(texts[0], "fashion-mnist, vit, 2 % poisoned, trained from scratch");
        assert_eq!(texts[1], "fashion-mnist, vit, 2 % poisoned, trained from scratch, 4 epochs");
        assert_eq!(texts[3], "fashion-mnist, vit, 0.1 % poisoned, trained from scratch");
        assert_eq!(texts[4], "fashion-mnist, vit, 2 % poisoned, fine-tuned from public weights");
        assert_eq!(texts[6], "drawings, resnet, 2 % poisoned, trained from scratch, 500 pairs");
    }
}
