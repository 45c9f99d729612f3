//! A draw by key hash: what has the least hashes of all that was shown.
//!
//! It must never depend on the order in which things of different hashes are shown.

use std::collections::BTreeMap;

/// At most so many things, each under its hash. Of two with one hash, which a key that occurs twice has, the first.
#[derive(Debug, PartialEq)]
pub struct Least<T> {
    most: usize,
    drawn: BTreeMap<u64, T>,
}

impl<T> Least<T> {
    pub fn of(most: usize) -> Self {
        Self { most, drawn: BTreeMap::new() }
    }

    /// Shows one; it is made only where it is kept.
    pub fn show(&mut self, hash: u64, what: impl FnOnce() -> T) {
        if self.drawn.len() >= self.most && self.drawn.last_key_value().is_none_or(|(last, _)| *last <= hash) {
            return;
        }
        self.drawn.entry(hash).or_insert_with(what);
        if self.drawn.len() > self.most {
            self.drawn.pop_last();
        }
    }

    /// The least hash first.
    pub fn drawn(&self) -> impl Iterator<Item = &T> {
        self.drawn.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_of_the_least_hashes_whatever_the_order() {
        let all = [(9, "i"), (2, "b"), (7, "g"), (1, "a"), (5, "e")];
        for order in [all.to_vec(), all.iter().rev().copied().collect()] {
            let mut least = Least::of(3);
            order.iter().for_each(|(hash, what)| least.show(*hash, || *what));
            assert_eq!(least.drawn().copied().collect::<Vec<_>>(), ["a", "b", "e"]);
        }
        let mut none = Least::of(0);
        none.show(1, || panic!("nobody keeps it"));
        assert_eq!(none.drawn().count(), 0);
    }
}
