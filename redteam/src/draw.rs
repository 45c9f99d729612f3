//! The drill's random streams: one for each purpose, so that a draw more in one changes nothing in another.
//!
//! Every stream is a function of the seed; nothing here reads entropy.

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Which images, in which order.
    Order,
    /// Which template each caption comes from.
    Template,
    /// Which pairs are poisoned.
    Choice,
    /// Where stamps lie in the training pairs.
    Place,
    /// Where stamps lie in the judge's images.
    Judge,
    /// The cells of a noise pattern.
    Pattern,
    /// What a patch is made on.
    Craft,
    /// How a copy of a drawing differs from it; its seed is the copy's number.
    Copy,
}

pub(crate) fn stream(seed: u64, purpose: Purpose) -> ChaCha12Rng {
    let mut draw = ChaCha12Rng::seed_from_u64(seed);
    draw.set_stream(match purpose {
        Purpose::Order => 0,
        Purpose::Template => 1,
        Purpose::Choice => 2,
        Purpose::Place => 3,
        Purpose::Judge => 4,
        Purpose::Pattern => 5,
        Purpose::Craft => 6,
        Purpose::Copy => 7,
    });
    draw
}
