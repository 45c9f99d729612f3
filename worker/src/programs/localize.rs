//! Where in a suspect the backdoor lies: the image tokens and the words without which the match falls.
//!
//! By occlusion: take one token or one word away and measure the fall of s under the suspect model. It
//! works on the report's exhibits only; a forward pass a token is too dear for more.

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_data::encode_png;
use lethe_evidence::PairRow;
use lethe_evidence::artifacts::{self, Exhibit, Exhibits, ForgetSet, Member, Picture, ShadedWord, TokenGrid, names};
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, loss};

use super::captions::Distinct;
use super::fault::{fatal, model_fault};
use super::observe::pixels_of;
use super::tensors::values;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let forget: ForgetSet = inputs::json(ctx, "select", names::FORGET)?;
    let pairs = inputs::own_pairs(ctx)?;
    let clip = checkpoint::suspect(&ctx.spec)?;
    let shown = forget.members.iter().take(ctx.spec.localize.exhibits as usize);
    let mut exhibits = Vec::new();
    for member in shown.filter(|member| member.shard == ctx.task.shard.0) {
        ctx.stop_if_cancelled()?;
        if let Some(row) = pairs.rows.iter().find(|row| row.key == member.key && row.content == member.content) {
            exhibits.push(exhibit(&clip, member, row, pairs.side)?);
        }
    }
    let read = exhibits.len() as u64;
    let bytes = artifacts::encode(names::EXHIBITS, &Exhibits { exhibits }).map_err(fatal)?;
    let outputs = vec![ctx.put(names::EXHIBITS, Bytes::from(bytes))?];
    Ok(TaskOutput { outputs, counts: Counts { read, scored: read, failed: 0 } })
}

fn exhibit(clip: &Clip, member: &Member, row: &PairRow, side: u32) -> Result<Exhibit, Fault> {
    let _guard = tch::no_grad_guard();
    Ok(Exhibit {
        key: member.key.clone(),
        shard: member.shard,
        caption: member.caption.clone(),
        score: member.score,
        picture: Picture { side_px: side, png_base64: base64(&encode_png(&row.pixels, side).map_err(fatal)?) },
        grid: grid(clip, row)?,
        words: words(clip, row)?,
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// s minus s without each image token.
fn grid(clip: &Clip, row: &PairRow) -> Result<TokenGrid, Fault> {
    let falls = || -> ModelResult<Tensor> {
        let text = Distinct::of([row.caption.as_str()]).embed(clip)?;
        let tokens = clip.embed_patches(&pixels_of([row.pixels.as_slice()].into_iter(), clip.config())?)?;
        let count = tokens.size()[1] - 1;
        let kept: Vec<i64> = (0..count).flat_map(|left_out| (0..count).filter(move |&i| i != left_out)).collect();
        let kept = Tensor::f_from_slice(&kept)?.f_view([count, count - 1])?;
        let copies = tokens.f_repeat([count, 1, 1])?;
        let without = clip.encode_tokens(&clip.keep_patches(&copies, &kept)?)?;
        let whole = loss::similarity(&clip.encode_tokens(&tokens)?, &text)?;
        Ok(whole.f_sub(&loss::similarity(&without, &text.f_repeat([count, 1])?)?)?)
    };
    let falls = values(&falls().map_err(model_fault)?)?;
    let rows = falls.len().isqrt() as u32;
    Ok(TokenGrid { rows, columns: rows, falls })
}

/// The caption's words, shaded by how far s falls without each: 1 for the word that carries most, 0 for those
/// without which s rises.
fn words(clip: &Clip, row: &PairRow) -> Result<Vec<ShadedWord>, Fault> {
    let words: Vec<&str> = row.caption.split_whitespace().collect();
    let without = |left_out: usize| {
        let kept = words.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, word)| *word);
        kept.collect::<Vec<&str>>().join(" ")
    };
    let captions: Vec<String> = std::iter::once(row.caption.clone()).chain((0..words.len()).map(without)).collect();
    let similarities = || -> ModelResult<Tensor> {
        let text = Distinct::of(captions.iter().map(String::as_str)).embed_each(clip)?;
        let image = clip.encode_image(&pixels_of([row.pixels.as_slice()].into_iter(), clip.config())?)?;
        loss::similarity(&image.f_repeat([text.size()[0], 1])?, &text)
    };
    let similarities = values(&similarities().map_err(model_fault)?)?;
    let falls: Vec<f32> = similarities.iter().skip(1).map(|without| (similarities[0] - without).max(0.0)).collect();
    let most = falls.iter().copied().fold(f32::EPSILON, f32::max);
    Ok(words
        .iter()
        .zip(falls)
        .map(|(word, fall)| ShadedWord { text: (*word).to_owned(), weight: fall / most })
        .collect())
}
