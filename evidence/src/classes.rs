//! Which members of a cluster are of which of two classes, poison or honest, by how their parts lead: a mixture of two classes whose
//! counts are independent of each other within a class (latent class analysis, Lazarsfeld and Henry 1968), fitted by expectation
//! maximization (Dempster, Laird and Rubin 1977).
//!
//! It must never part what does not come apart: whoever asks is told how sure the classes are.

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

/// How likely each member is poison.
#[derive(Debug, Clone, PartialEq)]
pub struct Chances(Vec<f64>);

/// Shares of members by kind and value.
type Shares = [[f64; VALUES]; KINDS];

impl Chances {
    /// Of members by their hits, those with the highest score first; `honest` are of pictures that no detector found. Nothing where
    /// either is missing.
    pub fn of(strongest_first: &[Hits], honest: &[Hits]) -> Option<Self> {
        if strongest_first.is_empty() || honest.is_empty() {
            return None;
        }
        let members = strongest_first;
        let known = shares(honest, |_| 1.0, |_, _| 0.5);
        let mut chances: Vec<f64> =
            (0..members.len()).map(|at| if 2 * at < members.len() { STRONGER } else { WEAKER }).collect();
        for _ in 0..ROUNDS {
            let share = chances.iter().sum::<f64>() / members.len() as f64;
            let share = share.clamp(LEAST_SHARE, 1.0 - LEAST_SHARE);
            let poison = shares(members, |at| chances[at], |_, _| 0.5);
            let honest = shares(members, |at| 1.0 - chances[at], |kind, value| KNOWN_HONEST * known[kind][value] + 0.1);
            for (chance, hits) in chances.iter_mut().zip(members) {
                let odds: f64 = each(*hits).map(|(kind, value)| (poison[kind][value] / honest[kind][value]).ln()).sum();
                *chance = 1.0 / (1.0 + (-(odds + (share / (1.0 - share)).ln())).exp());
            }
        }
        Some(Self(chances))
    }

    /// The share of members that would be put into the wrong class, by these chances themselves.
    pub fn expected_errors(&self) -> f64 {
        self.0.iter().map(|chance| chance.min(1.0 - chance)).sum::<f64>() / self.0.len() as f64
    }

    /// In the members' order.
    pub fn each(&self) -> &[f64] {
        &self.0
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

    fn alike(chances: &Chances) -> Vec<bool> {
        chances.each().iter().map(|chance| *chance >= 0.5).collect()
    }

    #[test]
    fn honest_members_come_apart_wherever_they_stand() {
        let donors = pictures(100, honest());
        // At the end, where scores have them, and one of them among the strongest.
        let members = [pictures(1, honest()), pictures(80, poison()), pictures(20, honest())].concat();
        let chances = Chances::of(&members, &donors).expect("has both");
        let expected = [vec![false], vec![true; 80], vec![false; 20]].concat();
        assert_eq!(alike(&chances), expected, "{chances:?}");
        assert!(chances.expected_errors() < 0.01, "{}", chances.expected_errors());
    }

    #[test]
    fn what_is_all_poison_stays_whole() {
        let chances = Chances::of(&pictures(60, poison()), &pictures(100, honest())).expect("has both");
        assert!(chances.each().iter().all(|chance| *chance > 0.9), "{chances:?}");
    }

    /// A warp's pictures lead hardly otherwise than honest ones.
    #[test]
    fn classes_that_overlap_are_unsure() {
        let spread = |count: u8, more: u8| -> Vec<Hits> {
            let hits =
                |n: u8| Hits { half: 3 + n % 5 + more, quarter: n % 4, coarse: 2 + n % 3 + more, fine: n % 7 + more };
            (0..count).map(hits).collect()
        };
        let chances = Chances::of(&[spread(70, 1), spread(40, 0)].concat(), &spread(105, 0)).expect("has both");
        assert!(chances.expected_errors() > 0.05, "{} {chances:?}", chances.expected_errors());
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(Chances::of(&[], &pictures(3, honest())), None);
        assert_eq!(Chances::of(&pictures(3, poison()), &[]), None);
        let many = Hits { half: 255, ..Hits::default() };
        assert!(Chances::of(&[many], &[many]).expect("has both").each()[0].is_finite());
    }
}
