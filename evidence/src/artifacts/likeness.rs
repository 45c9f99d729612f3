//! Whether a cluster's pictures show what its words say, by their thumbnails, which no training can poison.
//!
//! A poisoned picture shows something else: it is as far from honest pictures with the words as pictures without them are. A
//! picture that is merely odd is nearer. It must never decide alone: who poisons pictures that show his target would be taken for
//! honest.

use serde::{Deserialize, Serialize};

use super::Excess;

/// Pictures without the words that each member is compared with, of either kind.
pub const COMPARED_WITH: usize = 4;

/// Pictures show what their words say where they are farther from them than others in less than this share of comparisons, after
/// one standard error. Pictures of anything else are in half of them (FINDINGS.md).
pub const SHOWS_BELOW: f64 = 0.4;

/// Each comparison counts two where the member is farther, and one where neither is.
const MOST: u64 = 2 * COMPARED_WITH as u64;

/// Members beside other pictures without the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Likeness {
    /// Beside those that look most like them: an attacker may take all his pictures from one kind, which lies near his target.
    pub look_alikes: Farther,
    /// Beside any: look-alikes have much in common with a member's stamp, where it has one.
    pub any: Farther,
}

/// Counts, so that shards add up in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Farther {
    /// Members that were compared.
    pub members: u64,
    /// The sum of what each member's comparisons count, and of the squares of that.
    pub counted: u64,
    pub squares: u64,
}

impl Likeness {
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        Self { look_alikes: self.look_alikes.plus(other.look_alikes), any: self.any.plus(other.any) }
    }

    /// The greater of the two shares; nothing where none was compared.
    pub fn farther(self) -> Option<Excess> {
        let shares = [self.look_alikes, self.any].map(Farther::share);
        shares.into_iter().collect::<Option<Vec<_>>>()?.into_iter().max_by(|a, b| most(*a).total_cmp(&most(*b)))
    }

    /// False where it is in doubt.
    pub fn shows_words(self) -> bool {
        self.farther().is_some_and(|farther| most(farther) < SHOWS_BELOW)
    }
}

fn most(share: Excess) -> f64 {
    share.value + share.error
}

impl Farther {
    /// One member: how many pictures it is farther from the words than, and as far as.
    pub fn add(&mut self, farther: usize, level: usize) {
        let counted = (2 * farther + level) as u64;
        *self = self.plus(Self { members: 1, counted, squares: counted * counted });
    }

    fn plus(self, other: Self) -> Self {
        Self {
            members: self.members + other.members,
            counted: self.counted + other.counted,
            squares: self.squares + other.squares,
        }
    }

    /// The share of comparisons in which a member is the farther, and its standard error over members; nothing where none was
    /// compared. One member more that is as far as the others is counted: few members tell little, even where they agree.
    fn share(self) -> Option<Excess> {
        let (members, most) = ((self.members + 1) as f64, MOST as f64);
        let mean = (self.counted as f64 + most / 2.0) / members;
        let variance = (self.squares as f64 + most * most / 4.0) / members - mean * mean;
        let error = (variance.max(0.0) / members).sqrt();
        (self.members > 0).then_some(Excess { value: mean / most, error: error / most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: usize, farther: usize) -> Farther {
        let mut of = Farther::default();
        (0..members).for_each(|_| of.add(farther, 0));
        of
    }

    #[test]
    fn what_is_as_far_as_others_does_not_show_the_words() {
        for (farther, shows) in [
            (of(100, 2), false),
            (of(100, 1), true),
            (of(100, 4), false),
            (of(1, 0), false), // one tells little
            (of(5, 0), true),
            (of(50, 0).plus(of(50, 4)), false), // half of them poison
            (of(80, 0).plus(of(20, 2)), true),
            (Farther::default(), false),
        ] {
            let likeness = Likeness { look_alikes: farther, any: farther };
            assert_eq!(likeness.shows_words(), shows, "{likeness:?}: {:?}", likeness.farther());
        }
    }

    #[test]
    fn both_comparisons_must_show_the_words() {
        for (look_alikes, any) in [(2, 0), (0, 2)] {
            let likeness = Likeness { look_alikes: of(100, look_alikes), any: of(100, any) };
            assert!(!likeness.shows_words(), "{likeness:?}");
            assert!(likeness.farther().expect("was compared").value > 0.45);
        }
        assert!(Likeness { look_alikes: of(100, 0), any: of(100, 0) }.shows_words());
        assert_eq!(Likeness { look_alikes: of(100, 0), any: Farther::default() }.farther(), None);
    }

    #[test]
    fn the_share_has_the_error_of_its_members() {
        let mut of = Farther::default();
        assert_eq!(of.share(), None);
        for (farther, level) in [(4, 0), (0, 2), (1, 1)] {
            of.add(farther, level);
        }
        // 8, 2, 3 of 8, and 4 for the one that is added: mean 4.25, variance 5.1875.
        let Excess { value, error } = of.share().expect("has some");
        let expected = (5.1875_f64 / 4.0).sqrt() / 8.0;
        assert!((value - 4.25 / 8.0).abs() < 1e-12 && (error - expected).abs() < 1e-12, "{value} {error}");
    }
}
