//! Where in a suspect the backdoor lies: the image tokens and the words without which the match falls.
//!
//! By occlusion: take one token (a ViT's patch, a cell of a ResNet's attention pool) or one word away and measure the fall of s under the suspect model. It
//! works on the report's exhibits only; a forward pass a token is too dear for more.

use std::ops::Range;

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_data::encode_png;
use lethe_evidence::PairRow;
use lethe_evidence::artifacts::{self, Confirmed, Exhibit, Exhibits, Member, Picture, ShadedWord, TokenGrid, names};
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, loss};

use super::captions::Distinct;
use super::fault::{fatal, model_fault};
use super::pictures::pixels_of;
use super::rows::by_rows;
use super::tensors::values;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let shown = ctx.kept.get("shown", || shown(ctx))?;
    let shown: Vec<&Member> = shown.iter().filter(|member| member.shard == ctx.task.shard.0).collect();
    // Most shards of a large set have none: neither pairs nor a model are read for nothing.
    let exhibits = if shown.is_empty() { Vec::new() } else { exhibits(ctx, &shown)? };
    let read = exhibits.len() as u64;
    let bytes = artifacts::encode(names::EXHIBITS, &Exhibits { exhibits, ..Exhibits::default() }).map_err(fatal)?;
    let outputs = vec![ctx.put(names::EXHIBITS, Bytes::from(bytes))?];
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

/// All shards'.
fn shown(ctx: &TaskContext<'_>) -> Result<Vec<Member>, Fault> {
    let confirmed: Confirmed = inputs::json(ctx, "confirm", names::CONFIRMED)?;
    Ok(confirmed.forget.shown(ctx.spec.localize.exhibits as usize).into_iter().cloned().collect())
}

fn exhibits(ctx: &TaskContext<'_>, shown: &[&Member]) -> Result<Vec<Exhibit>, Fault> {
    let (side, rows) = shown_pairs(ctx, shown)?;
    let clip = checkpoint::suspect(ctx)?;
    let mut exhibits = Vec::new();
    for member in shown {
        ctx.stop_if_cancelled()?;
        if let Some(row) = rows.iter().find(|row| is_of(row, member)) {
            exhibits.push(Subject { ctx, clip: &clip, row }.exhibit(member, side)?);
        }
    }
    Ok(exhibits)
}

fn is_of(row: &PairRow, member: &Member) -> bool {
    row.key == member.key && row.content == member.content
}

/// The side of the shard's pictures, and those of its pairs that are shown.
fn shown_pairs(ctx: &TaskContext<'_>, shown: &[&Member]) -> Result<(u32, Vec<PairRow>), Fault> {
    let (side, batches) = inputs::own_pairs(ctx)?;
    let mut rows = Vec::new();
    for batch in batches {
        let wanted = |row: &PairRow| shown.iter().any(|member| is_of(row, member));
        rows.extend(batch.map_err(fatal)?.into_iter().filter(wanted));
    }
    Ok((side, rows))
}

/// One suspect under the suspect model.
struct Subject<'a> {
    ctx: &'a TaskContext<'a>,
    clip: &'a Clip,
    row: &'a PairRow,
}

impl Subject<'_> {
    fn exhibit(&self, member: &Member, side: u32) -> Result<Exhibit, Fault> {
        let _guard = tch::no_grad_guard();
        Ok(Exhibit {
            key: member.key.clone(),
            shard: member.shard,
            caption: member.caption.clone(),
            score: member.score,
            cluster: member.cluster,
            picture: Picture { side_px: side, png_base64: base64(&encode_png(&self.row.pixels, side).map_err(fatal)?) },
            grid: self.grid()?,
            words: self.words()?,
        })
    }

    /// s minus s without each image token.
    fn grid(&self) -> Result<TokenGrid, Fault> {
        let falls = || -> ModelResult<Tensor> {
            let text = Distinct::of([self.row.caption.as_str()]).embed(self.clip)?;
            let tokens = self.clip.embed_patches(&self.pixels()?)?;
            let count = tokens.size()[1] - 1;
            let without = by_rows(count as usize, self.ctx.rows_at_once(count as usize), |left_out| {
                self.without(&tokens, left_out.start as i64..left_out.end as i64)
            })?;
            let whole = loss::similarity(&self.clip.encode_tokens(&tokens)?, &text)?;
            Ok(whole.f_sub(&loss::similarity(&without, &text.f_repeat([count, 1])?)?)?)
        };
        let falls = values(&falls().map_err(model_fault)?)?;
        let rows = falls.len().isqrt() as u32;
        Ok(TokenGrid { rows, columns: rows, falls })
    }

    /// Features of the image without each of these tokens, `[left_out, D]`.
    fn without(&self, tokens: &Tensor, left_out: Range<i64>) -> ModelResult<Tensor> {
        let (count, copies) = (tokens.size()[1] - 1, left_out.end - left_out.start);
        let kept: Vec<i64> = left_out.flat_map(|left_out| (0..count).filter(move |&i| i != left_out)).collect();
        let kept = Tensor::f_from_slice(&kept)?.f_view([copies, count - 1])?.f_to_device(tokens.device())?;
        let copies = tokens.f_repeat([copies, 1, 1])?;
        self.clip.encode_tokens(&self.clip.keep_patches(&copies, &kept)?)
    }

    /// The caption's words, shaded by how far s falls without each: 1 for the word that carries most, 0 for those
    /// without which s rises.
    fn words(&self) -> Result<Vec<ShadedWord>, Fault> {
        // A word has a token at least: those beyond are not read, and a caption may have tens of thousands.
        let most = self.clip.config().text.context_length as usize;
        let words: Vec<&str> = self.row.caption.split_whitespace().take(most).collect();
        let captions = one_left_out(&self.row.caption, &words);
        let similarities = || -> ModelResult<Tensor> {
            let at_once = self.ctx.rows_at_once(captions.len());
            let text = by_rows(captions.len(), at_once, |some| {
                Distinct::of(captions[some].iter().map(String::as_str)).embed_each(self.clip)
            })?;
            let image = self.clip.encode_image(&self.pixels()?)?;
            loss::similarity(&image.f_repeat([text.size()[0], 1])?, &text)
        };
        let similarities = values(&similarities().map_err(model_fault)?)?;
        Ok(shaded(&words, &similarities))
    }

    fn pixels(&self) -> ModelResult<Tensor> {
        pixels_of([self.row.pixels.as_slice()].into_iter(), self.clip)
    }
}

/// The whole caption, then without each of its words.
fn one_left_out(caption: &str, words: &[&str]) -> Vec<String> {
    let without = |left_out: usize| {
        let kept = words.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, word)| *word);
        kept.collect::<Vec<&str>>().join(" ")
    };
    std::iter::once(caption.to_owned()).chain((0..words.len()).map(without)).collect()
}

fn shaded(words: &[&str], similarities: &[f32]) -> Vec<ShadedWord> {
    let falls: Vec<f32> = similarities.iter().skip(1).map(|without| (similarities[0] - without).max(0.0)).collect();
    let most = falls.iter().copied().fold(f32::EPSILON, f32::max);
    let shade = |(word, fall): (&&str, f32)| ShadedWord { text: (*word).to_owned(), weight: fall / most };
    words.iter().zip(falls).map(shade).collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use lethe_evidence::PairRole;

    use super::*;
    use crate::programs::tiny;
    use crate::task::Rig;

    fn row() -> PairRow {
        PairRow {
            shard: 0,
            key: "a".to_owned(),
            content: "a".to_owned(),
            caption: "a photo of a dress".to_owned(),
            role: PairRole::Suspect,
            pixels: (0..64 * 64 * 3_u32).map(|at| (at * at / 97) as u8).collect(),
            values: Vec::new(),
        }
    }

    /// Every cell of a ResNet's grid is taken away once, and a machine of little memory finds the same.
    #[test]
    fn a_resnets_exhibit_shades_the_cells_of_its_pool() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let (rig, clip, row) = (Rig::new(folder.path()), tiny::resnet(), row());
        let grids = [0, 2].map(|batch_halvings| {
            let ctx = TaskContext { batch_halvings, ..rig.context() };
            let _guard = tch::no_grad_guard();
            Subject { ctx: &ctx, clip: &clip, row: &row }.grid().expect("has a grid")
        });
        assert_eq!((grids[0].rows, grids[0].columns, grids[0].falls.len()), (2, 2, 4));
        assert_close(&grids[0].falls, &falls_one_by_one(&clip, &row));
        assert!(grids[0].falls.iter().any(|fall| fall.abs() > 1e-6), "{:?}", grids[0].falls);
        assert_close(&grids[0].falls, &grids[1].falls);
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        let far = found.iter().zip(expected).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        assert!(found.len() == expected.len() && far < 1e-6, "{found:?}, expected {expected:?}");
    }

    /// s minus s of the cells that are left, for each cell by itself.
    fn falls_one_by_one(clip: &Clip, row: &PairRow) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let text = Distinct::of([row.caption.as_str()]).embed(clip).expect("embeds");
        let pixels = pixels_of([row.pixels.as_slice()].into_iter(), clip).expect("are pixels");
        let tokens = clip.embed_patches(&pixels).expect("has cells");
        let similarity = |tokens: &Tensor| {
            let image = clip.encode_tokens(tokens).expect("embeds");
            loss::similarity(&image, &text).expect("compares").double_value(&[0]) as f32
        };
        let without = |cell: i64| {
            let kept: Vec<i64> = (0..4).filter(|other| *other != cell).collect();
            similarity(&clip.keep_patches(&tokens, &Tensor::from_slice(&kept).view([1, 3])).expect("keeps"))
        };
        (0..4).map(|cell| similarity(&tokens) - without(cell)).collect()
    }
}
