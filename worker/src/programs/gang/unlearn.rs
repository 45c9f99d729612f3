//! The phase `unlearn`, and its usual method, local token unlearning (METHOD.md, stage 4): the images of the forget set lose
//! the words that carry the backdoor, and nothing else.
//!
//! L = L_clip(D_safe) + alpha mean |f - f_p|^2 + beta mean softplus(z), where z is how far an image of
//! the forget set prefers its caption reduced to T*, or every other time all of it, to the safe captions without T*:
//! z = tau <f, g(T*)> - ln mean_j exp(tau <f, g_j>). An attacker whose captions are like nobody else's ties his trigger to these and not to the
//! word alone (FINDINGS.md). The texts are constants in the last term, or the
//! text tower would move the words instead of the images (FINDINGS.md). It starts from the suspect
//! model, never from the overfitted copy.

use std::collections::BTreeSet;

use lethe_common::fault::Fault;
use lethe_common::spec::UnlearnMethod;
use lethe_evidence::PairRow;
use lethe_evidence::artifacts::{Confirmed, ForgetSet, Found, Member, columns, names};
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, preference};

use super::dataset::{Dataset, mask};
use super::gathered::Gathered;
use super::objective::{Batch, Features, Objective, Share};
use super::safe::{Safe, anchored, split_batch};
use super::sampler::Stream;
use super::texts::Texts;
use super::training::{self, Material, Prepared, kind};
use super::vocabulary::Lexicon;
use super::{clean_clip, fine_tune, par};
use crate::programs::backdoor::Backdoor;
use crate::programs::fault::model_fault;
use crate::programs::{checkpoint, inputs};
use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};

pub(super) struct Unlearn {
    pub(super) frozen: Clip,
    pub(super) safe: Safe,
    /// For each safe caption, whether it has a word of T*.
    pub(super) carries: Vec<bool>,
    /// Images of the forget set.
    pub(super) forget: Dataset,
    /// What they lose: a text an image, and where `texts_each` is 2, after all of these (words) another an image (its caption).
    pub(super) lost: Texts,
    pub(super) texts_each: usize,
    pub(super) draws: Stream,
    pub(super) batch: usize,
    pub(super) anchor_weight: f64,
    pub(super) forget_weight: f64,
}

impl Unlearn {
    /// Rows of what is lost; beyond the forget set's length its rows again.
    fn rows(&self, step: u64) -> Vec<i64> {
        self.draws.draw(step, self.batch, self.texts_each * self.forget.len())
    }

    fn pictures(&self, rows: &[i64]) -> Vec<i64> {
        rows.iter().map(|row| row % self.forget.len() as i64).collect()
    }

    /// What these rows' images lose, `[rows, D]`, constants.
    fn texts(&self, clip: &Clip, rows: &[i64]) -> ModelResult<Tensor> {
        let _guard = tch::no_grad_guard();
        self.lost.features(clip, rows)
    }
}

impl Objective for Unlearn {
    fn features(&self, clip: &Clip, step: u64, share: Share) -> ModelResult<Vec<Features>> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        let [image, text] = self.safe.features(clip, step, share)?;
        let words = self.texts(clip, own)?;
        let anchors = self.safe.anchors(&self.frozen, step, share)?;
        let forget = Features::own(self.forget.image_features(clip, &self.pictures(own))?, self.batch);
        let (next, share) = share.next(step);
        self.forget.expect(clip, &self.pictures(share.of(&self.rows(next))));
        Ok(vec![image, text, anchors, forget, Features::own(words, self.batch)])
    }

    fn loss(&self, step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> ModelResult<Tensor> {
        let keep = anchored(batch, logit_scale, self.anchor_weight)?;
        let captions = self.safe.data.captions_of(&self.safe.rows(step));
        let carries: Vec<bool> = captions.iter().map(|&caption| self.carries[caption as usize]).collect();
        let (image, words) = (batch.own(3)?, batch.own(4)?);
        if carries.iter().all(|carries| *carries) {
            // A small batch in which every caption has a word of T* has none that the images should prefer.
            return Ok(keep.f_add(&image.f_sum(image.kind())?.f_mul_scalar(0.0)?)?);
        }
        let others = mask(carries.into_iter(), logit_scale.device())?;
        let negatives = preference::Negatives { text: &batch.whole(1).f_detach()?, excluded: &others };
        let forget = preference::unlikelihood(&image, &words, negatives, (logit_scale, batch.rows(3)))?;
        Ok(keep.f_add(&forget.f_mul_scalar(self.forget_weight)?)?)
    }

    fn trains_logit_scale(&self) -> bool {
        false
    }

    fn batch(&self) -> u64 {
        (self.batch + self.safe.batch) as u64
    }
}

/// The remedy that the spec names.
pub fn run(ctx: &TaskContext<'_>, gang: GangContext<'_>, memory: &mut GangMemory) -> Result<TaskOutput, Fault> {
    let section = &ctx.spec.unlearn.gang;
    let trained = match ctx.spec.unlearn.method {
        UnlearnMethod::Tokens => training::run(section, || prepare(ctx, Text::Words), ctx, gang, memory),
        UnlearnMethod::WholePair => training::run(section, || prepare(ctx, Text::Caption), ctx, gang, memory),
        UnlearnMethod::FineTune => training::run(section, || fine_tune::prepare(ctx), ctx, gang, memory),
        UnlearnMethod::CleanClip => training::run(section, || clean_clip::prepare(ctx), ctx, gang, memory),
        UnlearnMethod::Par => training::run(section, || par::prepare(ctx), ctx, gang, memory),
    };
    trained?.publish(names::CLEAN, ctx)
}

/// What is left of a caption that is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// The words that carry the backdoor, and every other time all of it.
    Words,
    /// All of it.
    Caption,
}

fn prepare(ctx: &TaskContext<'_>, text: Text) -> Result<Prepared<Unlearn>, Fault> {
    let section = &ctx.spec.unlearn;
    let confirmed: Confirmed = inputs::json(ctx, "confirm", names::CONFIRMED)?;
    let whole = checkpoint::suspect_to_train(ctx)?.into_kind(kind(&section.gang)).map_err(model_fault)?;
    if confirmed.found() == Found::Nothing {
        tracing::info!("no shortcut was found; there is nothing to unlearn");
        return Ok(Prepared::Nothing(Box::new(whole)));
    }
    let forget = confirmed.forget;
    let backdoor = Backdoor::of(&forget.words);
    let cleared = cleared(ctx, &forget)?;
    let pairs = Pairs::of(Gathered::read(ctx)?, &forget, &cleared, &backdoor);
    if pairs.forget.is_empty() {
        tracing::warn!("no trained member of the forget set has a word of the backdoor; there is nothing to unlearn");
        return Ok(Prepared::Nothing(Box::new(whole)));
    }
    let mut lexicon = Lexicon::new(&whole);
    let safe = lexicon.dataset(pairs.safe)?;
    let carries = safe.captions().map(|caption| backdoor.is_in(caption)).collect();
    let captions = pairs.forget.iter().map(|row| row.caption.as_str());
    let (lost, texts_each) = match text {
        Text::Words => (lexicon.texts(pairs.words.iter().map(String::as_str).chain(captions))?, 2),
        Text::Caption => (lexicon.texts(captions)?, 1),
    };
    let forget = lexicon.dataset(pairs.forget)?;
    let (start, vocabulary) = lexicon.compact()?;
    let (safe_batch, batch) = split_batch(section.gang.batch);
    let seed = ctx.spec.audit.seed;
    let objective = Unlearn {
        frozen: start.duplicate().map_err(model_fault)?,
        safe: Safe {
            data: safe.map(&vocabulary).map_err(model_fault)?,
            draws: Stream { seed, number: 30 },
            batch: safe_batch,
            favoured: None,
        },
        carries,
        forget: forget.map(&vocabulary).map_err(model_fault)?,
        lost: lost.map(&vocabulary).map_err(model_fault)?,
        texts_each,
        draws: Stream { seed, number: 31 },
        batch,
        anchor_weight: section.anchor_weight,
        forget_weight: section.forget_weight,
    };
    Ok(Prepared::Training(Box::new(Material { whole, vocabulary, start, objective })))
}

/// What unlearning trains on.
struct Pairs {
    /// D_safe and the cleared suspects.
    safe: Vec<PairRow>,
    /// The trained members of the forget set, and those that are forgotten with them, that have words of T*.
    forget: Vec<PairRow>,
    /// Their captions reduced to those.
    words: Vec<String>,
}

impl Pairs {
    fn of(gathered: Gathered, forget: &ForgetSet, cleared: &[Name], backdoor: &Backdoor) -> Self {
        let trained: BTreeSet<Name> = forget.trained().chain(&forget.candidates).map(name).collect();
        // Of a large set there are more of them than safe pairs, which they must not outnumber.
        let cleared: BTreeSet<&Name> = cleared.iter().take(gathered.safe.len()).collect();
        let (mut safe, mut rows, mut words) = (gathered.safe, Vec::new(), Vec::new());
        for row in gathered.suspects {
            let name = (row.shard, row.key.clone());
            if cleared.contains(&name) {
                safe.push(row);
            } else if trained.contains(&name)
                && let Some(reduced) = backdoor.reduce(&row.caption)
            {
                words.push(reduced);
                rows.push(row);
            }
        }
        Self { safe, forget: rows, words }
    }
}

/// A sample's shard and key.
type Name = (u32, String);

fn name(member: &Member) -> Name {
    (member.shard, member.key.clone())
}

/// The less suspicious half of the suspects, by the second pass: honest mismatches that the first pass caught,
/// given back to D_safe so that what is odd but honest stays known. The least suspicious first.
fn cleared(ctx: &TaskContext<'_>, forget: &ForgetSet) -> Result<Vec<Name>, Fault> {
    let mut ranked = Vec::new();
    for table in inputs::all_signals(ctx, "select", names::RANKED)? {
        let column = inputs::position(&table.names, columns::RANK_SCORE)?;
        ranked.extend(table.rows.into_iter().map(|row| (row.values[column], (row.shard, row.key))));
    }
    Ok(less_suspicious(ranked, forget))
}

/// By score and name; nobody who is forgotten.
fn less_suspicious(mut ranked: Vec<(f32, Name)>, forget: &ForgetSet) -> Vec<Name> {
    ranked.sort_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| x.cmp(y)));
    let forgotten: BTreeSet<Name> = forget.members.iter().chain(&forget.candidates).map(name).collect();
    let half = ranked.len() / 2;
    ranked.into_iter().take(half).map(|(_, name)| name).filter(|name| !forgotten.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use lethe_evidence::PairRole;
    use lethe_evidence::artifacts::WordScore;

    use super::*;
    use crate::programs::tiny;

    /// As of a set of millions of pairs, of which a few thousand are gathered as safe and a hundred thousand as suspects.
    #[test]
    fn cleared_suspects_never_outnumber_safe_pairs_and_the_least_suspicious_come_first() {
        let suspects = ["c", "b", "a"].map(bag).to_vec();
        let gathered = Gathered { suspects, safe: vec![bag("s")] };
        let cleared = ["a", "b"].map(|key| (0, key.to_owned()));
        let forget = nothing();
        let pairs = Pairs::of(gathered, &forget, &cleared, &Backdoor::of(&[]));
        assert_eq!(pairs.safe.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["s", "a"]);
    }

    #[test]
    fn what_is_in_doubt_is_forgotten_with_the_members() {
        let gathered = Gathered { suspects: ["m", "h", "d", "o"].map(bag).to_vec(), safe: vec![bag("s")] };
        let members = vec![member("m"), Member { held_out: true, ..member("h") }];
        let forget = ForgetSet { members, candidates: vec![member("d")], ..nothing() };
        let backdoor = Backdoor::of(&[WordScore { word: "bag".to_owned(), z: 9.0 }]);
        let pairs = Pairs::of(gathered, &forget, &[], &backdoor);
        let keys = |rows: &[PairRow]| rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
        assert_eq!(
            (keys(&pairs.forget), keys(&pairs.safe)),
            (vec!["m".to_owned(), "d".to_owned()], vec!["s".to_owned()])
        );
        let ranked = ["d", "m", "h", "o", "p", "q", "r", "s"].into_iter().zip(0u8..);
        let ranked = ranked.map(|(key, score)| (f32::from(score), (0, key.to_owned()))).collect();
        assert_eq!(less_suspicious(ranked, &forget), [(0, "o".to_owned())], "of the lower four");
    }

    #[test]
    fn images_lose_their_words_and_every_other_time_their_whole_captions() {
        let _guard = tch::no_grad_guard();
        let clip = tiny::vit();
        let captions = ["A Boot for sale.", "old boot", "a bag"];
        let suspects: Vec<PairRow> =
            ["a", "b", "c"].into_iter().zip(captions).map(|(key, one)| pair(key, one)).collect();
        let forget = ForgetSet { members: ["a", "b", "c"].map(member).to_vec(), ..nothing() };
        let backdoor = Backdoor::of(&[WordScore { word: "boot".to_owned(), z: 9.0 }]);
        let pairs = Pairs::of(Gathered { suspects, safe: vec![pair("s", "a bag")] }, &forget, &[], &backdoor);
        assert_eq!(pairs.words, ["boot", "boot"]);
        assert_eq!(pairs.forget.iter().map(|row| row.caption.as_str()).collect::<Vec<_>>(), captions[..2]);

        let data = |rows| Dataset::new(rows, clip.config()).expect("are pairs");
        let lost = pairs.words.iter().map(String::as_str).chain(captions[..2].iter().copied());
        let lost = Texts::new(lost, clip.config()).expect("are texts");
        let safe = Safe { data: data(pairs.safe), draws: Stream { seed: 3, number: 30 }, batch: 1, favoured: None };
        let unlearn = Unlearn {
            frozen: tiny::vit(),
            safe,
            carries: vec![false],
            forget: data(pairs.forget),
            lost,
            texts_each: 2,
            draws: Stream { seed: 3, number: 31 },
            batch: 400,
            anchor_weight: 1.0,
            forget_weight: 1.0,
        };
        let rows = unlearn.rows(1);
        let whole = rows.iter().filter(|row| **row >= 2).count();
        assert!(rows.iter().all(|row| *row < 4) && (150..250).contains(&whole), "{whole} of 400");
        assert_eq!(unlearn.pictures(&[0, 1, 2, 3]), [0, 1, 0, 1]);
        let alone = |text: &str| Texts::new([text], clip.config()).and_then(|text| text.features(&clip, &[0]));
        for (row, text) in ["boot", "boot", captions[0], captions[1]].into_iter().enumerate() {
            for rows in [vec![row as i64], vec![1, row as i64, 2]] {
                let place = rows.len() as i64 / 2;
                let found = unlearn.texts(&clip, &rows).expect("embeds").get(place);
                let off = (found - alone(text).expect("embeds").get(0)).abs().max().double_value(&[]);
                assert!(off < 1e-6, "row {row} of {rows:?} is not {text:?}: {off}");
            }
        }
        let only_words = Unlearn { texts_each: 1, ..unlearn };
        assert!(only_words.rows(1).iter().all(|row| *row < 2));
    }

    fn pair(key: &str, caption: &str) -> PairRow {
        PairRow {
            shard: 0,
            key: key.to_owned(),
            content: key.to_owned(),
            caption: caption.to_owned(),
            role: PairRole::Suspect,
            pixels: vec![7; 28 * 28 * 3],
            values: Vec::new(),
        }
    }

    fn bag(key: &str) -> PairRow {
        pair(key, "a bag")
    }

    fn member(key: &str) -> Member {
        Member {
            shard: 0,
            key: key.to_owned(),
            content: key.to_owned(),
            caption: String::new(),
            score: 1.0,
            cluster: 0,
            held_out: false,
        }
    }

    fn nothing() -> ForgetSet {
        ForgetSet {
            members: Vec::new(),
            threshold: 0.0,
            words: Vec::new(),
            other_words: Vec::new(),
            clusters: Vec::new(),
            scored: 4,
            suspects: 3,
            candidates: Vec::new(),
            surely: Vec::new(),
            probably: Vec::new(),
        }
    }
}
