//! Before a step is applied, every rank says what it is about to apply; only what all would apply counts.
//!
//! A vote is not atomic: a rank may fall while it is counted, and others may then have applied the step. So after a
//! loss the ranks exchange their last applied step ([`super::trainee::Trainee::agree`]).

use lethe_collective::Collective;
use lethe_common::fault::Fault;
use lethe_common::ids::Generation;

use super::words;

/// What one rank holds ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    pub generation: Generation,
    /// Steps applied so far.
    pub applied: u64,
    /// Whether the summed gradient is finite.
    pub is_finite: bool,
    /// Whether the state is to be kept after this step; rank 0's word holds.
    pub keep: bool,
}

/// What all votes come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Not where some rank has a gradient that is not finite; every rank skips the step then.
    pub apply: bool,
    pub keep: bool,
}

impl Vote {
    /// Waits for every rank's vote; a rank that is late beyond the group's time-out fails the generation.
    pub fn cast(self, group: &dyn Collective) -> Result<Verdict, Fault> {
        let votes = words::gather(&self.encode(), group)?;
        self.count(&votes.iter().map(|words| Self::decode(words)).collect::<Vec<_>>())
    }

    fn count(self, votes: &[Self]) -> Result<Verdict, Fault> {
        let stranger = votes.iter().position(|vote| (vote.generation, vote.applied) != (self.generation, self.applied));
        if let Some(rank) = stranger {
            let Self { generation, applied, .. } = votes[rank];
            return Err(Fault::retryable(format!(
                "rank {rank} votes on step {applied} of generation {generation}; this rank is at step {} of generation {}",
                self.applied, self.generation
            )));
        }
        let keep = votes.first().is_some_and(|vote| vote.keep);
        Ok(Verdict { apply: votes.iter().all(|vote| vote.is_finite), keep })
    }

    fn encode(self) -> [i64; 4] {
        [self.generation.0 as i64, self.applied as i64, i64::from(self.is_finite), i64::from(self.keep)]
    }

    fn decode(words: &[i64]) -> Self {
        let (generation, applied) = (Generation(words[0] as u64), words[1] as u64);
        Self { generation, applied, is_finite: words[2] != 0, keep: words[3] != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOTE: Vote = Vote { generation: Generation(4), applied: 17, is_finite: true, keep: false };

    #[test]
    fn rank_0_says_when_the_state_is_kept() {
        let keeper = Vote { keep: true, ..VOTE };
        assert!(VOTE.count(&[keeper, VOTE]).expect("counts").keep);
        assert!(!keeper.count(&[VOTE, keeper]).expect("counts").keep);
    }

    #[test]
    fn one_rank_without_a_finite_gradient_makes_all_skip() {
        let spoilt = Vote { is_finite: false, ..VOTE };
        assert!(VOTE.count(&[VOTE, VOTE, VOTE]).expect("counts").apply);
        assert!(!VOTE.count(&[VOTE, spoilt, VOTE]).expect("counts").apply);
        assert!(!spoilt.count(&[VOTE, spoilt, VOTE]).expect("counts").apply);
    }

    #[test]
    fn a_vote_on_another_step_or_generation_ends_the_generation() {
        for stranger in [Vote { applied: 16, ..VOTE }, Vote { generation: Generation(3), ..VOTE }] {
            let fault = VOTE.count(&[VOTE, stranger]).expect_err("is refused");
            assert!(fault.message.contains("rank 1 votes"), "{fault:?}");
        }
    }

    #[test]
    fn votes_survive_the_wire() {
        assert_eq!(Vote::decode(&VOTE.encode()), VOTE);
    }
}
