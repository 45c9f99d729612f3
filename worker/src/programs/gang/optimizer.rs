//! The optimiser's state on one rank: the whole model's, or that of its own part and its neighbour's (ZeRO stage 1,
//! arXiv 1910.02054), so that no single lost rank takes state along.
//!
//! A step on parts ends once every rank has the new weights of all of them. Until then it can be undone: ranks must never
//! go on from weights that are part this step's and part the last one's.

use std::ops::Range;

use lethe_collective::Collective;
use lethe_common::fault::Fault;
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::{TchError, Tensor};
use lethe_model::{AdamW, AdamWSettings, Clip};

use super::meeting::Moment;

use crate::programs::fault::{collective_fault, model_fault};

/// Numbers that one call carries, so that a rank needs no second copy of the model for it.
pub const STRIP: i64 = 4 << 20;

/// Whose numbers of the flat buffer are whose.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub rank: u32,
    pub world_size: u32,
    /// Numbers of the model.
    pub length: i64,
    pub is_sharded: bool,
}

impl Layout {
    /// What this rank updates: its own part first, then its neighbour's.
    pub fn spans(&self) -> Vec<Range<i64>> {
        let whole = 0..self.length;
        if !self.is_sharded {
            return Vec::from([whole]);
        }
        let neighbour = (self.rank + 1) % self.world_size;
        let mut spans = Vec::from([self.part(self.rank)]);
        spans.extend((neighbour != self.rank).then(|| self.part(neighbour)));
        spans
    }

    fn part_length(&self) -> i64 {
        (self.length as u64).div_ceil(u64::from(self.world_size)) as i64
    }

    /// Parts are equal but for the last ones, which may be shorter or empty.
    fn part(&self, rank: u32) -> Range<i64> {
        let at = |rank: u32| (i64::from(rank) * self.part_length()).min(self.length);
        at(rank)..at(rank + 1)
    }
}

/// Weights, first moment and second moment of the same numbers.
pub type Values = [Tensor; 3];

/// What the parts were before a step whose weights did not come from all ranks yet.
#[derive(Debug)]
struct Before {
    values: Vec<Values>,
    /// Where the parts are.
    ahead: Moment,
}

#[derive(Debug)]
pub struct Optimizer {
    settings: AdamWSettings,
    /// Empty before the first generation: nothing was updated, and every moment is zero.
    parts: Vec<AdamW>,
    before: Option<Before>,
    /// Whether all weights are of one step.
    is_whole: bool,
}

impl Optimizer {
    pub fn fresh(settings: AdamWSettings) -> Self {
        Self { settings, parts: Vec::new(), before: None, is_whole: true }
    }

    pub fn settings(&self) -> AdamWSettings {
        self.settings
    }

    pub fn is_fresh(&self) -> bool {
        self.parts.is_empty()
    }

    /// Where the parts are, if they are a step further than the rest of the model.
    pub fn ahead(&self) -> Option<Moment> {
        self.before.as_ref().map(|before| before.ahead)
    }

    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub fn spans(&self) -> Vec<Range<i64>> {
        self.parts.iter().map(AdamW::span).collect()
    }

    /// One step, to a moment, from the whole gradient, which every rank has. With parts it ends when the weights of all
    /// have come.
    pub fn step(
        &mut self,
        clip: &mut Clip,
        gradient: &Tensor,
        rate: f64,
        to: Moment,
        (layout, group): (&Layout, &dyn Collective),
    ) -> Result<(), Fault> {
        if !layout.is_sharded {
            return self.update(clip, gradient, rate).map_err(model_fault);
        }
        self.before = Some(Before { values: self.copy(clip).map_err(torch)?, ahead: to });
        self.is_whole = false;
        self.update(clip, gradient, rate).map_err(model_fault)?;
        let (own, flat) = (layout.part(layout.rank), clip.flat());
        let spans = self.spans();
        // The neighbour's part was computed here too, and its replica must not come to depend on what a call brings.
        let put = |range: Range<i64>, values: &Tensor| match spans.iter().any(|span| covers(span, &range)) {
            true => Ok(()),
            false => narrow(&flat, &range)?.f_copy_(values),
        };
        gather(&narrow(&flat, &own).map_err(torch)?, layout, group, put)?;
        if flat.device().is_cuda() {
            // NCCL's watchdog may have aborted the last gather while it was waited for, which then looks complete; nothing can
            // be begun on an aborted group.
            group.barrier().map_err(collective_fault)?;
        }
        self.is_whole = true;
        self.before = None;
        Ok(())
    }

    fn update(&mut self, clip: &mut Clip, gradient: &Tensor, rate: f64) -> ModelResult<()> {
        self.parts.iter_mut().try_for_each(|part| part.step(clip, gradient, rate))
    }

    fn copy(&self, clip: &Clip) -> Result<Vec<Values>, TchError> {
        let values = self.parts.iter().map(|part| of_part(part, clip));
        values.map(|values| copied(values?)).collect()
    }

    /// Takes the parts back to the step that the rest of the model is at.
    pub fn undo(&mut self, clip: &Clip) -> Result<(), TchError> {
        let before = self.before.take().map_or_else(Vec::new, |before| before.values);
        for (part, before) in self.parts.iter().zip(before) {
            for (mut now, before) in of_part(part, clip)?.into_iter().zip(before) {
                now.f_copy_(&before)?;
            }
        }
        Ok(())
    }

    /// What this rank has of some numbers; they must lie in one of its spans, or it must be fresh.
    pub fn values(&self, clip: &Clip, range: &Range<i64>) -> Result<Values, TchError> {
        let weights = narrow(&clip.flat(), range)?;
        let part = self.parts.iter().find(|part| covers(&part.span(), range));
        let [first, second] = match part {
            Some(part) => {
                let at = range.start - part.span().start..range.end - part.span().start;
                let [first, second] = part.moments();
                [narrow(&first, &at)?, narrow(&second, &at)?]
            }
            None => [weights.f_zeros_like()?, weights.f_zeros_like()?],
        };
        Ok([weights, first, second])
    }

    /// Begins parts with moments of zero.
    pub fn begin(&mut self, clip: &Clip, spans: Vec<Range<i64>>) -> ModelResult<()> {
        let parts = spans.into_iter().map(|span| AdamW::over(clip, self.settings, span));
        self.parts = parts.collect::<ModelResult<_>>()?;
        (self.before, self.is_whole) = (None, true);
        Ok(())
    }

    /// Writes moments of some numbers to those parts that have them.
    pub fn write(&self, range: &Range<i64>, moments: &[Tensor; 2]) -> Result<(), TchError> {
        for part in &self.parts {
            let span = part.span();
            let both = range.start.max(span.start)..range.end.min(span.end);
            if both.is_empty() {
                continue;
            }
            for (own, values) in part.moments().iter().zip(moments) {
                let from = narrow(values, &(both.start - range.start..both.end - range.start))?;
                narrow(own, &(both.start - span.start..both.end - span.start))?.f_copy_(&from)?;
            }
        }
        Ok(())
    }

    pub fn set_steps(&mut self, steps: u64) {
        self.parts.iter_mut().for_each(|part| part.set_steps(steps));
    }

    /// The whole model's moments, for rank 0's checkpoint; every rank must call it, and the others get theirs alone.
    pub fn whole_moments(&self, layout: &Layout, group: &dyn Collective) -> Result<[Tensor; 2], Fault> {
        let own = self.parts.first().map(AdamW::moments).ok_or_else(|| Fault::fatal("no part was begun"))?;
        if !layout.is_sharded {
            return Ok(own);
        }
        if layout.rank != 0 {
            own.iter().try_for_each(|part| gather(part, layout, group, |_, _| Ok(())))?;
            return Ok(own);
        }
        let [first, second] = own.each_ref().map(|part| -> Result<Tensor, Fault> {
            let whole = Tensor::f_zeros([layout.length], (part.kind(), part.device())).map_err(torch)?;
            gather(part, layout, group, |range, values| narrow(&whole, &range)?.f_copy_(values))?;
            Ok(whole)
        });
        Ok([first?, second?])
    }
}

fn of_part(part: &AdamW, clip: &Clip) -> Result<Values, TchError> {
    let [first, second] = part.moments();
    Ok([narrow(&clip.flat(), &part.span())?, first, second])
}

fn copied(values: Values) -> Result<Values, TchError> {
    let [weights, first, second] = values;
    Ok([weights.f_detach_copy()?, first.f_detach_copy()?, second.f_detach_copy()?])
}

/// Every rank's part to every rank, strip by strip: `put` gets the numbers of each strip and where they belong.
fn gather(
    own: &Tensor,
    layout: &Layout,
    group: &dyn Collective,
    put: impl Fn(Range<i64>, &Tensor) -> Result<(), TchError>,
) -> Result<(), Fault> {
    let (length, have) = (layout.part_length(), own.numel() as i64);
    let mut start = 0;
    while start < length {
        let end = (start + STRIP).min(length);
        let filled = narrow(own, &(start.min(have)..end.min(have))).map_err(torch)?;
        let missing = end - start - filled.numel() as i64;
        let strip = filled.f_constant_pad_nd([0, missing]).and_then(|strip| strip.f_contiguous()).map_err(torch)?;
        for (rank, values) in group.all_gather(&strip).map_err(collective_fault)?.iter().enumerate() {
            let part = layout.part(rank as u32);
            let range = (part.start + start).min(part.end)..(part.start + end).min(part.end);
            if !range.is_empty() {
                let values = narrow(values, &(0..range.end - range.start)).map_err(torch)?;
                put(range, &values).map_err(torch)?;
            }
        }
        start = end;
    }
    Ok(())
}

pub fn covers(span: &Range<i64>, range: &Range<i64>) -> bool {
    span.start <= range.start && range.end <= span.end
}

pub fn narrow(values: &Tensor, range: &Range<i64>) -> Result<Tensor, TchError> {
    values.f_narrow(0, range.start, range.end - range.start)
}

fn torch(error: TchError) -> Fault {
    model_fault(error.into())
}
