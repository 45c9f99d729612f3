//! Where ranks that come from different moments go on: the highest step of which they have everything together.
//!
//! It must never depend on which rank asks: all ranks compute it from the same exchange.

use std::ops::Range;

use lethe_collective::Collective;
use lethe_common::fault::Fault;

use super::optimizer::{Layout, covers};
use super::words;

/// What a rank has as a generation begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    pub applied: u64,
    /// It never updated anything: it has all of step 0, with moments of zero.
    pub is_fresh: bool,
    /// Its spans are at the step after `applied` already, and can go back.
    pub is_ahead: bool,
    /// All its weights are of one step.
    pub is_whole: bool,
    /// What it has the optimiser's state of.
    pub spans: Vec<Range<i64>>,
}

/// Spans that one rank can have.
const SPANS: usize = 2;
const WORDS: usize = 4 + 2 * SPANS;

impl Stand {
    /// Every rank's, in order of rank.
    pub fn exchange(&self, group: &dyn Collective) -> Result<Vec<Self>, Fault> {
        let stands = words::gather(&self.encode(), group)?;
        Ok(stands.iter().map(|words| Self::decode(words)).collect())
    }

    fn encode(&self) -> [i64; WORDS] {
        let mut words = [0; WORDS];
        words[0] = self.applied as i64;
        (words[1], words[2], words[3]) = (self.is_fresh.into(), self.is_ahead.into(), self.is_whole.into());
        for (words, span) in words[4..].chunks_exact_mut(2).zip(&self.spans) {
            (words[0], words[1]) = (span.start, span.end);
        }
        words
    }

    fn decode(words: &[i64]) -> Self {
        let spans = words[4..].chunks_exact(2).map(|span| span[0]..span[1]).filter(|span| !span.is_empty());
        Self {
            applied: words[0] as u64,
            is_fresh: words[1] != 0,
            is_ahead: words[2] != 0,
            is_whole: words[3] != 0,
            spans: spans.collect(),
        }
    }

    /// Whether it has these numbers as they were after a step: weights and moments.
    fn has(&self, range: &Range<i64>, step: u64) -> bool {
        let is_there = self.applied == step || (self.is_ahead && self.applied + 1 == step);
        is_there && (self.is_fresh || self.spans.iter().any(|span| covers(span, range)))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Meeting {
    pub step: u64,
    /// Who gives which numbers; together they are the whole model.
    pub sources: Vec<(Range<i64>, u32)>,
    /// Who gives the history.
    pub historian: u32,
    /// Nobody needs anything.
    pub is_settled: bool,
    stays: Vec<bool>,
}

impl Meeting {
    /// None where some numbers are lost at every step.
    pub fn of(stands: &[Stand], layout: &Layout) -> Option<Self> {
        let mut steps: Vec<u64> = stands.iter().map(|stand| stand.applied).collect();
        steps.sort_unstable();
        steps.dedup();
        steps.into_iter().rev().find_map(|step| Self::at(step, stands, layout))
    }

    fn at(step: u64, stands: &[Stand], layout: &Layout) -> Option<Self> {
        let historian = stands.iter().position(|stand| stand.applied == step)? as u32;
        let mut bounds = vec![0, layout.length];
        bounds.extend(stands.iter().flat_map(|stand| &stand.spans).flat_map(|span| [span.start, span.end]));
        bounds.sort_unstable();
        bounds.dedup();
        let source = |bounds: &[i64]| {
            let range = bounds[0]..bounds[1];
            let root = stands.iter().position(|stand| stand.has(&range, step))?;
            Some((range, root as u32))
        };
        let sources = bounds.windows(2).map(source).collect::<Option<Vec<_>>>()?;
        let stays = |(rank, stand): (usize, &Stand)| {
            let own = Layout { rank: rank as u32, ..*layout };
            let is_there = stand.applied == step && !stand.is_ahead && stand.is_whole;
            is_there && stand.spans == own.spans().into_iter().filter(|span| !span.is_empty()).collect::<Vec<_>>()
        };
        let stays: Vec<bool> = stands.iter().enumerate().map(stays).collect();
        Some(Self { step, sources, historian, is_settled: stays.iter().all(|stays| *stays), stays })
    }

    /// Whether a rank has all that it needs already.
    pub fn stays(&self, rank: u32) -> bool {
        self.stays[rank as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { rank: 0, world_size: 3, length: 9, is_sharded: true };

    fn fresh() -> Stand {
        Stand { applied: 0, is_fresh: true, is_ahead: false, is_whole: true, spans: Vec::new() }
    }

    /// A rank of the layout after a step.
    fn at(rank: u32, applied: u64) -> Stand {
        let spans = Layout { rank, ..LAYOUT }.spans();
        Stand { applied, is_fresh: false, is_ahead: false, is_whole: true, spans }
    }

    fn ahead(rank: u32, applied: u64) -> Stand {
        Stand { is_ahead: true, is_whole: false, ..at(rank, applied) }
    }

    #[test]
    fn the_highest_step_wins_and_nobody_needs_anything_where_all_are_there() {
        let meeting = Meeting::of(&[at(0, 7), at(1, 7), at(2, 7)], &LAYOUT).expect("meet");
        assert!(meeting.is_settled && meeting.step == 7);
        let meeting = Meeting::of(&[at(0, 7), fresh(), at(2, 7)], &LAYOUT).expect("meet");
        assert_eq!((meeting.step, meeting.is_settled, meeting.stays(0), meeting.stays(1)), (7, false, true, false));
        assert_eq!(meeting.sources, [(0..3, 0), (3..6, 0), (6..9, 2)]);
    }

    #[test]
    fn ranks_that_were_ahead_go_back_unless_one_came_through() {
        let back = Meeting::of(&[ahead(0, 7), at(1, 7), fresh()], &LAYOUT).expect("meet");
        assert_eq!((back.step, back.historian), (7, 0));
        assert!(!back.stays(0) && back.stays(1));
        let on = Meeting::of(&[ahead(0, 7), at(1, 8), fresh()], &LAYOUT).expect("meet");
        assert_eq!((on.step, on.historian, &on.sources[0]), (8, 1, &(0..3, 0)));
    }

    #[test]
    fn one_lost_rank_takes_nothing_along_and_two_neighbours_do() {
        assert!(Meeting::of(&[at(0, 7), at(1, 7)], &Layout { world_size: 2, ..LAYOUT }).is_some());
        assert_eq!(Meeting::of(&[at(0, 7), fresh(), fresh()], &LAYOUT).expect("begin anew").step, 0);
        assert_eq!(Meeting::of(&[at(0, 7)], &Layout { world_size: 1, ..LAYOUT }), None);
    }

    #[test]
    fn a_step_that_is_lost_in_part_gives_way_to_one_that_is_whole() {
        let meeting = Meeting::of(&[ahead(0, 7), at(2, 9), at(1, 7)], &LAYOUT).expect("meet");
        assert_eq!(meeting.step, 7);
    }

    #[test]
    fn what_ranks_have_survives_the_wire() {
        for stand in [fresh(), ahead(2, 5)] {
            assert_eq!(Stand::decode(&stand.encode()), stand);
        }
    }
}
