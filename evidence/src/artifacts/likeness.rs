//! Whether a cluster's pictures show what its words say, by their thumbnails, which no training can poison.
//!
//! A poisoned picture shows something else: it is no nearer to honest pictures with the words than the pictures are that look
//! most like it. A picture that is merely odd is nearer. It must never decide alone: who poisons pictures that show his target
//! would be taken for honest.

use serde::{Deserialize, Serialize};

use super::Excess;

/// Pictures without the words that each member is compared with: those that look most like it.
pub const LOOK_ALIKES: usize = 4;

/// A cluster shows what its words say where its members are farther from them than their look-alikes in less than this share of
/// comparisons, after one standard error. Pictures of anything else are in half of them (FINDINGS.md).
pub const SHOWS_BELOW: f64 = 0.4;

/// Each comparison counts two where the member is farther, and one where neither is.
const MOST: u64 = 2 * LOOK_ALIKES as u64;

/// Counts, so that shards add up in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Likeness {
    /// Members that were compared.
    pub members: u64,
    /// The sum of what each member's comparisons count, and of the squares of that.
    pub farther: u64,
    pub farther_squared: u64,
}

impl Likeness {
    /// One member: how many of its look-alikes it is farther from the words than, and as far as.
    pub fn add(&mut self, farther: usize, level: usize) {
        let counted = (2 * farther + level) as u64;
        *self = self.plus(Self { members: 1, farther: counted, farther_squared: counted * counted });
    }

    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            members: self.members + other.members,
            farther: self.farther + other.farther,
            farther_squared: self.farther_squared + other.farther_squared,
        }
    }

    /// The share of comparisons in which a member is the farther, and its standard error over members; nothing where none was
    /// compared. One member more that is as far as its look-alikes is counted: few members tell little, even where they agree.
    pub fn farther(self) -> Option<Excess> {
        let members = (self.members + 1) as f64;
        let most = MOST as f64;
        let mean = (self.farther as f64 + most / 2.0) / members;
        let variance = (self.farther_squared as f64 + most * most / 4.0) / members - mean * mean;
        let error = (variance.max(0.0) / members).sqrt();
        (self.members > 0).then_some(Excess { value: mean / most, error: error / most })
    }

    /// False where it is in doubt.
    pub fn shows_words(self) -> bool {
        self.farther().is_some_and(|farther| farther.value + farther.error < SHOWS_BELOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: usize, farther: usize) -> Likeness {
        let mut likeness = Likeness::default();
        (0..members).for_each(|_| likeness.add(farther, 0));
        likeness
    }

    #[test]
    fn what_is_as_far_as_its_look_alikes_does_not_show_the_words() {
        for (likeness, shows) in [
            (of(100, 2), false),
            (of(100, 1), true),
            (of(100, 4), false),
            (of(1, 0), false), // one tells little
            (of(5, 0), true),
            (of(50, 0).plus(of(50, 4)), false), // half of them poison
            (of(80, 0).plus(of(20, 2)), true),
            (Likeness::default(), false),
        ] {
            assert_eq!(likeness.shows_words(), shows, "{likeness:?}: {:?}", likeness.farther());
        }
    }

    #[test]
    fn the_share_has_the_error_of_its_members() {
        let mut likeness = Likeness::default();
        assert_eq!(likeness.farther(), None);
        for (farther, level) in [(4, 0), (0, 2), (1, 1)] {
            likeness.add(farther, level);
        }
        // 8, 2, 3 of 8, and 4 for the one that is added: mean 4.25, variance 5.1875.
        let Excess { value, error } = likeness.farther().expect("has some");
        let expected = (5.1875_f64 / 4.0).sqrt() / 8.0;
        assert!((value - 4.25 / 8.0).abs() < 1e-12 && (error - expected).abs() < 1e-12, "{value} {error}");
    }
}
