//! Where ranks that come from different moments go on: the highest step of which they have everything together.
//!
//! It must never depend on which rank asks: all ranks compute it from the same exchange.

use std::ops::Range;

use lethe_collective::Collective;
use lethe_common::fault::Fault;

use super::optimizer::{Layout, STRIP, covers};
use super::words;

/// A moment of a training: so many steps, the last of them in which generation. Where a rank was cut off while others took
/// a step once more, the number of steps alone would take two states for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub steps: u64,
    pub generation: u64,
}

/// What a rank has as a generation begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    pub applied: Moment,
    /// The moment before, where nothing but the count of steps differs: all ranks skipped the last step.
    pub skipped: Option<Moment>,
    /// The moment that its spans are at already, from which they can go back.
    pub ahead: Option<Moment>,
    /// It never updated anything: it has all of step 0, with moments of zero.
    pub is_fresh: bool,
    /// All its weights are of one step.
    pub is_whole: bool,
    /// What it has the optimiser's state of.
    pub spans: Vec<Range<i64>>,
}

/// Spans that one rank can have.
const SPANS: usize = 2;
const WORDS: usize = 8 + 2 * SPANS;
/// No moment.
const NONE: i64 = -1;

impl Stand {
    /// Every rank's, in order of rank.
    pub fn exchange(&self, group: &dyn Collective) -> Result<Vec<Self>, Fault> {
        let stands = words::gather(&self.encode(), group)?;
        Ok(stands.iter().map(|words| Self::decode(words)).collect())
    }

    fn encode(&self) -> [i64; WORDS] {
        let mut words = [0; WORDS];
        for (words, moment) in words.chunks_exact_mut(2).zip([Some(self.applied), self.skipped, self.ahead]) {
            words.copy_from_slice(&moment.map_or([NONE; 2], |at| [at.steps as i64, at.generation as i64]));
        }
        (words[6], words[7]) = (self.is_fresh.into(), self.is_whole.into());
        for (words, span) in words[8..].chunks_exact_mut(2).zip(&self.spans) {
            words.copy_from_slice(&[span.start, span.end]);
        }
        words
    }

    fn decode(words: &[i64]) -> Self {
        let moment = |at: usize| Moment { steps: words[at] as u64, generation: words[at + 1] as u64 };
        let some = |at: usize| (words[at] != NONE).then(|| moment(at));
        let spans = words[8..].chunks_exact(2).map(|span| span[0]..span[1]).filter(|span| !span.is_empty());
        Self {
            applied: moment(0),
            skipped: some(2),
            ahead: some(4),
            is_fresh: words[6] != 0,
            is_whole: words[7] != 0,
            spans: spans.collect(),
        }
    }

    /// Whether it has these numbers, weights and moments, as they were then.
    fn has(&self, range: &Range<i64>, at: Moment) -> bool {
        let is_there = [Some(self.applied), self.skipped, self.ahead].contains(&Some(at));
        is_there && (self.is_fresh || self.spans.iter().any(|span| covers(span, range)))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Meeting {
    pub at: Moment,
    /// Who gives which numbers; together they are the whole model.
    pub sources: Vec<(Range<i64>, u32)>,
    /// Who gives the history.
    pub historian: u32,
    /// Nobody needs anything.
    pub is_settled: bool,
    stays: Vec<bool>,
}

impl Meeting {
    /// The last moment of which the ranks have everything; none where some numbers are lost of each.
    pub fn of(stands: &[Stand], layout: &Layout) -> Option<Self> {
        let mut moments: Vec<Moment> = stands.iter().map(|stand| stand.applied).collect();
        moments.sort_unstable();
        moments.dedup();
        moments.into_iter().rev().find_map(|at| Self::at(at, stands, layout))
    }

    fn at(at: Moment, stands: &[Stand], layout: &Layout) -> Option<Self> {
        let historian = stands.iter().position(|stand| stand.applied == at)? as u32;
        let mut bounds: Vec<i64> = (0..layout.length).step_by(STRIP as usize).collect();
        bounds.push(layout.length);
        bounds.extend(stands.iter().flat_map(|stand| &stand.spans).flat_map(|span| [span.start, span.end]));
        bounds.sort_unstable();
        bounds.dedup();
        let source = |bounds: &[i64]| {
            let range = bounds[0]..bounds[1];
            let root = stands.iter().position(|stand| stand.has(&range, at))?;
            Some((range, root as u32))
        };
        let sources = bounds.windows(2).map(source).collect::<Option<Vec<_>>>()?;
        let stays = |(rank, stand): (usize, &Stand)| {
            let own = Layout { rank: rank as u32, ..*layout };
            let is_there = stand.applied == at && stand.ahead.is_none() && stand.is_whole && !stand.is_fresh;
            is_there && stand.spans == own.spans().into_iter().filter(|span| !span.is_empty()).collect::<Vec<_>>()
        };
        let stays: Vec<bool> = stands.iter().enumerate().map(stays).collect();
        Some(Self { at, sources, historian, is_settled: stays.iter().all(|stays| *stays), stays })
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

    fn moment(steps: u64, generation: u64) -> Moment {
        Moment { steps, generation }
    }

    fn fresh() -> Stand {
        let applied = moment(0, 0);
        Stand { applied, skipped: None, ahead: None, is_fresh: true, is_whole: true, spans: Vec::new() }
    }

    /// A rank of the layout after a step of generation 1.
    fn at(rank: u32, applied: u64) -> Stand {
        let spans = Layout { rank, ..LAYOUT }.spans();
        Stand { applied: moment(applied, 1), is_fresh: false, spans, ..fresh() }
    }

    fn ahead(rank: u32, applied: u64) -> Stand {
        Stand { ahead: Some(moment(applied + 1, 1)), is_whole: false, ..at(rank, applied) }
    }

    fn meet(stands: &[Stand]) -> Option<Meeting> {
        Meeting::of(stands, &Layout { world_size: stands.len() as u32, ..LAYOUT })
    }

    #[test]
    fn the_highest_step_wins_and_nobody_needs_anything_where_all_are_there() {
        let meeting = meet(&[at(0, 7), at(1, 7), at(2, 7)]).expect("meet");
        assert!(meeting.is_settled && meeting.at.steps == 7);
        let meeting = meet(&[at(0, 7), fresh(), at(2, 7)]).expect("meet");
        assert_eq!((meeting.at.steps, meeting.is_settled, meeting.stays(0), meeting.stays(1)), (7, false, true, false));
        assert_eq!(meeting.sources, [(0..3, 0), (3..6, 0), (6..9, 2)]);
    }

    #[test]
    fn ranks_that_were_ahead_go_back_unless_one_came_through() {
        let back = meet(&[ahead(0, 7), at(1, 7), fresh()]).expect("meet");
        assert_eq!((back.at.steps, back.historian), (7, 0));
        assert!(!back.stays(0) && back.stays(1));
        let on = meet(&[ahead(0, 7), at(1, 8), fresh()]).expect("meet");
        assert_eq!((on.at.steps, on.historian, &on.sources[0]), (8, 1, &(0..3, 0)));
    }

    #[test]
    fn one_lost_rank_takes_nothing_along_and_two_neighbours_do() {
        assert!(meet(&[at(0, 7), at(1, 7)]).is_some());
        assert_eq!(meet(&[at(0, 7), fresh(), fresh()]).expect("begin anew").at.steps, 0);
        assert_eq!(meet(&[at(0, 7)]), None);
    }

    #[test]
    fn a_step_that_is_lost_in_part_gives_way_to_one_that_is_whole() {
        assert_eq!(meet(&[ahead(0, 7), at(2, 9), at(1, 7)]).expect("meet").at.steps, 7);
    }

    /// One rank knows that all skipped a step, another fell before it was told, and the third is lost.
    #[test]
    fn a_step_that_was_skipped_is_the_step_before() {
        let told = Stand { skipped: Some(moment(7, 1)), ..at(0, 8) };
        let meeting = meet(&[told, fresh(), at(2, 7)]).expect("meet");
        assert_eq!((meeting.at.steps, meeting.stays(0), meeting.stays(2)), (7, false, true));
    }

    /// The others took the step once more without the one that was cut off.
    #[test]
    fn as_many_steps_of_another_generation_are_another_state() {
        let again = |rank: u32| Stand { applied: moment(8, 2), ..at(rank, 8) };
        let meeting = meet(&[at(0, 8), again(1), again(2)]).expect("meet");
        assert_eq!((meeting.at, meeting.is_settled), (moment(8, 2), false));
        assert!(meeting.sources.iter().all(|(_, root)| *root != 0), "{meeting:?}");
    }

    #[test]
    fn what_ranks_have_survives_the_wire() {
        let skipped = Stand { skipped: Some(moment(4, 3)), ..at(1, 5) };
        for stand in [fresh(), ahead(2, 5), skipped] {
            assert_eq!(Stand::decode(&stand.encode()), stand);
        }
    }
}
