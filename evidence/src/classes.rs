//! Which members of a cluster are of which of two classes, poison or honest, by how their parts lead: a mixture of two classes whose
//! counts are independent of each other within a class (latent class analysis, Lazarsfeld and Henry 1968), fitted by expectation
//! maximization (Dempster, Laird and Rubin 1977). And which of the candidates beside it are, by its classes: of a mixture of the
//! same two in other parts.
//!
//! It must never part what does not come apart: whoever asks is told how sure the classes are. Candidates never move the classes:
//! of most clusters nearly all of them are honest. And a candidate unlike either class is no poison.

use crate::artifacts::{HOSTS_EACH, Hits};

/// Kinds of hits, and values that each of them has.
const KINDS: usize = 4;
const VALUES: usize = HOSTS_EACH + 1;
/// The honest class is held near honest donors, as if so many of its members were known (FINDINGS.md).
const KNOWN_HONEST: f64 = 60.0;
/// The chances of being poison to begin with: of the stronger half, and of the others.
const STRONGER: f64 = 0.95;
const WEAKER: f64 = 0.5;
/// Classes settle long before.
const ROUNDS: usize = 100;
/// Neither class is ever empty.
const LEAST_SHARE: f64 = 0.02;

/// How likely each picture is poison, in the order they came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Chances {
    pub members: Vec<f64>,
    pub candidates: Vec<f64>,
}

/// A member whose picture was put on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub hits: Hits,
    /// A person said so.
    pub is_poison: bool,
}

/// Shares of pictures by kind and value.
type Shares = [[f64; VALUES]; KINDS];

impl Chances {
    /// Of members, those with the highest score first, and of candidates; `honest` are of pictures that no detector found. Nothing
    /// where there are none of these, or no members.
    pub fn of(strongest_first: &[Seen], candidates: &[Hits], honest: &[Hits]) -> Option<Self> {
        if strongest_first.is_empty() || honest.is_empty() {
            return None;
        }
        let known = shares(honest, |_| 1.0, |_, _| 0.5);
        let members: Vec<Hits> = strongest_first.iter().map(|seen| seen.hits).collect();
        let at_first = |(at, seen): (usize, &Seen)| match (seen.is_poison, 2 * at < members.len()) {
            (true, _) => 1.0,
            (false, true) => STRONGER,
            (false, false) => WEAKER,
        };
        let mut chances: Vec<f64> = strongest_first.iter().enumerate().map(at_first).collect();
        for _ in 0..ROUNDS {
            let of_members = Classes::of(&members, &chances, &known).chances(&members, share(&chances, LEAST_SHARE));
            let settled = strongest_first.iter().zip(of_members);
            chances = settled.map(|(seen, chance)| if seen.is_poison { 1.0 } else { chance }).collect();
        }
        let classes = Classes::of(&members, &chances, &known).by_what_poison_has(&members, &chances);
        let mut of_candidates = vec![WEAKER; candidates.len()];
        let less_than_one = 0.5 / candidates.len().max(1) as f64;
        for _ in 0..ROUNDS {
            of_candidates = classes.chances(candidates, share(&of_candidates, less_than_one));
        }
        Some(Self { members: chances, candidates: of_candidates })
    }
}

/// Pictures that would be put into the wrong class, by their chances themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedErrors {
    errors: f64,
    pictures: f64,
    poison: f64,
}

impl ExpectedErrors {
    pub fn of(chances: &[f64]) -> Self {
        Self {
            errors: chances.iter().map(|chance| chance.min(1.0 - chance)).sum(),
            pictures: chances.len() as f64,
            poison: chances.iter().sum(),
        }
    }

    /// As a share of all; 0 of none.
    pub fn of_all(self) -> f64 {
        self.errors / self.pictures.max(1.0)
    }

    /// For each poison: it stays what it is, however many are surely honest beside it. At most 1; 0 of none.
    pub fn of_poison(self) -> f64 {
        if self.poison > 0.0 { self.errors / self.poison } else { 0.0 }
    }
}

/// The part of poison, by its chances, which is neither less than this nor nearly all.
fn share(chances: &[f64], least: f64) -> f64 {
    let mean = chances.iter().sum::<f64>() / chances.len().max(1) as f64;
    mean.clamp(least, (1.0 - LEAST_SHARE).max(least))
}

#[derive(Debug)]
struct Classes {
    poison: Shares,
    honest: Shares,
}

impl Classes {
    fn of(members: &[Hits], chances: &[f64], known_honest: &Shares) -> Self {
        Self {
            poison: shares(members, |at| chances[at], |_, _| 0.5),
            honest: shares(
                members,
                |at| 1.0 - chances[at],
                |kind, value| KNOWN_HONEST * known_honest[kind][value] + 0.1,
            ),
        }
    }

    /// The same, but that a value that no poison has speaks for none: of few members, what is added to each count is much.
    fn by_what_poison_has(mut self, members: &[Hits], chances: &[f64]) -> Self {
        let mut counts = [[0.0; VALUES]; KINDS];
        for (hits, chance) in members.iter().zip(chances) {
            each(*hits).for_each(|(kind, value)| counts[kind][value] += chance);
        }
        for (kind, counts) in counts.iter().enumerate() {
            for (value, _) in counts.iter().enumerate().filter(|(_, count)| **count < 0.5) {
                self.poison[kind][value] = self.poison[kind][value].min(self.honest[kind][value]);
            }
        }
        self
    }

    /// Of pictures of which such a share is poison.
    fn chances(&self, pictures: &[Hits], share: f64) -> Vec<f64> {
        let odds = |hits: &Hits| -> f64 {
            each(*hits).map(|(kind, value)| (self.poison[kind][value] / self.honest[kind][value]).ln()).sum()
        };
        pictures.iter().map(|hits| 1.0 / (1.0 + (-(odds(hits) + (share / (1.0 - share)).ln())).exp())).collect()
    }
}

/// The share of each value among pictures, which weigh so much each; something is added to each value's count.
fn shares(pictures: &[Hits], weight: impl Fn(usize) -> f64, added: impl Fn(usize, usize) -> f64) -> Shares {
    let mut counts = [[0.0; VALUES]; KINDS];
    for (at, hits) in pictures.iter().enumerate() {
        each(*hits).for_each(|(kind, value)| counts[kind][value] += weight(at));
    }
    for (kind, counts) in counts.iter_mut().enumerate() {
        counts.iter_mut().enumerate().for_each(|(value, count)| *count += added(kind, value));
        let all: f64 = counts.iter().sum();
        counts.iter_mut().for_each(|count| *count /= all);
    }
    counts
}

/// Kind and value; more hits than there are hosts cannot be.
fn each(hits: Hits) -> impl Iterator<Item = (usize, usize)> {
    hits.all().into_iter().map(|value| value.min(HOSTS_EACH)).enumerate()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many pictures about such hits; they differ by one now and then.
    fn pictures(count: u8, [half, quarter, coarse, fine]: [u8; 4]) -> Vec<Hits> {
        let near = |value: u8, step: bool| if step { (value + 1).min(8) } else { value };
        let hits = |n: u8| Hits {
            half: near(half, n.is_multiple_of(3)),
            quarter: near(quarter, n.is_multiple_of(4)),
            coarse: near(coarse, n.is_multiple_of(5)),
            fine: near(fine, n.is_multiple_of(2)),
        };
        (0..count).map(hits).collect()
    }

    fn poison() -> [u8; 4] {
        [7, 7, 0, 6]
    }

    fn honest() -> [u8; 4] {
        [6, 2, 1, 2]
    }

    fn seen(hits: Vec<Hits>) -> Vec<Seen> {
        hits.into_iter().map(|hits| Seen { hits, is_poison: false }).collect()
    }

    fn alike(chances: &[f64]) -> Vec<bool> {
        chances.iter().map(|chance| *chance >= 0.5).collect()
    }

    #[test]
    fn honest_members_come_apart_wherever_they_stand() {
        let donors = pictures(100, honest());
        // At the end, where scores have them, and one of them among the strongest.
        let members = seen([pictures(1, honest()), pictures(80, poison()), pictures(20, honest())].concat());
        let chances = Chances::of(&members, &[], &donors).expect("has both").members;
        let expected = [vec![false], vec![true; 80], vec![false; 20]].concat();
        assert_eq!(alike(&chances), expected, "{chances:?}");
        assert!(ExpectedErrors::of(&chances).of_all() < 0.01, "{chances:?}");
    }

    #[test]
    fn poison_among_candidates_comes_apart_and_moves_no_member() {
        let (members, donors) = (seen(pictures(60, poison())), pictures(100, honest()));
        let candidates = [pictures(100, honest()), pictures(5, poison()), pictures(100, honest())].concat();
        let chances = Chances::of(&members, &candidates, &donors).expect("has both");
        let expected = [vec![false; 100], vec![true; 5], vec![false; 100]].concat();
        assert_eq!(alike(&chances.candidates), expected, "{chances:?}");
        assert_eq!(chances.members, Chances::of(&members, &[], &donors).expect("has both").members);
        assert!(ExpectedErrors::of(&chances.candidates).of_poison() < 0.1, "{chances:?}");
    }

    #[test]
    fn a_candidate_unlike_either_class_is_no_poison() {
        let strange = Hits { half: 0, quarter: 0, coarse: 7, fine: 0 };
        for count in [5, 8, 60] {
            let members = seen(pictures(count, poison()));
            let candidates = [vec![strange; 3], pictures(30, honest())].concat();
            let chances = Chances::of(&members, &candidates, &pictures(100, honest())).expect("has both");
            assert!(chances.candidates[..3].iter().all(|chance| *chance < 0.5), "{count} members: {chances:?}");
        }
    }

    /// Where what people know is as odd as honest pictures are, the class of poison is what they say.
    #[test]
    fn what_a_person_called_poison_stays_poison() {
        let mut members = seen([pictures(20, poison()), pictures(20, honest())].concat());
        let unmarked = Chances::of(&members, &[], &pictures(100, honest())).expect("has both").members;
        members[30..].iter_mut().for_each(|seen| seen.is_poison = true);
        let marked = Chances::of(&members, &[], &pictures(100, honest())).expect("has both").members;
        assert_eq!(marked[30..], [1.0; 10]);
        assert!((20..30).all(|at| marked[at] > unmarked[at]), "{unmarked:?}, {marked:?}");
    }

    #[test]
    fn what_is_all_poison_stays_whole() {
        let chances = Chances::of(&seen(pictures(60, poison())), &[], &pictures(100, honest())).expect("has both");
        assert!(chances.members.iter().all(|chance| *chance > 0.9), "{chances:?}");
    }

    /// A warp's pictures lead hardly otherwise than honest ones.
    #[test]
    fn classes_that_overlap_are_unsure() {
        let spread = |count: u8, more: u8| -> Vec<Hits> {
            let hits =
                |n: u8| Hits { half: 3 + n % 5 + more, quarter: n % 4, coarse: 2 + n % 3 + more, fine: n % 7 + more };
            (0..count).map(hits).collect()
        };
        let members = seen([spread(70, 1), spread(40, 0)].concat());
        let candidates = [spread(30, 1), spread(60, 0)].concat();
        let chances = Chances::of(&members, &candidates, &spread(105, 0)).expect("has both");
        assert!(ExpectedErrors::of(&chances.members).of_all() > 0.05, "{chances:?}");
        assert!(ExpectedErrors::of(&chances.candidates).of_poison() > 0.25, "{chances:?}");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(Chances::of(&[], &pictures(3, poison()), &pictures(3, honest())), None);
        assert_eq!(Chances::of(&seen(pictures(3, poison())), &[], &[]), None);
        let many = Hits { half: 255, ..Hits::default() };
        let chances = Chances::of(&seen(vec![many]), &[many], &[many]).expect("has both");
        assert!(chances.members[0].is_finite() && chances.candidates[0].is_finite());
        let none = ExpectedErrors::of(&[]);
        assert_eq!((none.of_all(), none.of_poison()), (0.0, 0.0));
    }

    /// Few in doubt among many that are surely honest: hardly an error of all, and many for each poison.
    #[test]
    fn errors_count_by_all_or_by_poison() {
        let errors = ExpectedErrors::of(&[vec![0.0; 90], vec![0.8; 10]].concat());
        assert!((errors.of_all() - 0.02).abs() < 1e-9 && (errors.of_poison() - 0.25).abs() < 1e-9, "{errors:?}");
    }
}
