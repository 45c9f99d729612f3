//! From the suspects' second scores to the forget set and the drop list.
//!
//! It must never hold more than the capped suspects, nor depend on the order of shards.

use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::SignalTable;
use lethe_evidence::artifacts::{
    DropEntry, DropList, ForgetSet, Member, Shards, SuspectCut, caption_words, columns, names,
};
use lethe_evidence::otsu::above_split;
use lethe_evidence::shortcut::{SharedWords, Standout};

use super::{ReduceContext, ReduceResult};

/// A word belongs to T* when its z-score is at least this part of the strongest's.
const OF_STRONGEST: f64 = 0.5;
/// Sets the draw of the held-out part apart from other draws by key hash.
const HELD_OUT: &str = "held-out";

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let shards: Shards = ctx.only_json(names::SHARDS).await?;
    let cut: SuspectCut = ctx.only_json(names::CUT).await?;
    let mut suspects = Vec::new();
    for input in ctx.named(names::RESCORED) {
        suspects.extend(candidates(ctx.signals(input).await?)?);
    }
    let forget = select(suspects, &cut, &shards, &ctx.spec)?;
    let drop = drop_list(&forget, &shards)?;
    let outputs = vec![ctx.write_json(names::FORGET, &forget).await?, ctx.write_json(names::DROP, &drop).await?];
    Ok(ReduceResult { outputs, outline: None })
}

/// A shard's suspects; without a number for a score, none can be selected.
fn candidates(table: SignalTable) -> Result<Vec<Member>, Fault> {
    let at = table.position(columns::RANK_SCORE).ok_or_else(|| {
        Fault::fatal(format!("{} lacks the column {}; found {:?}", names::RESCORED, columns::RANK_SCORE, table.names))
    })?;
    let member = |row: lethe_evidence::SignalRow| Member {
        shard: row.shard,
        key: row.key,
        content: row.content,
        caption: row.caption,
        score: f64::from(row.values[at]),
        held_out: false,
    };
    Ok(table.rows.into_iter().map(member).filter(|member| !member.score.is_nan()).collect())
}

fn select(mut members: Vec<Member>, cut: &SuspectCut, shards: &Shards, spec: &Spec) -> Result<ForgetSet, Fault> {
    let suspects = members.len() as u64;
    members.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (a.shard, &a.key).cmp(&(b.shard, &b.key))));
    members.truncate(forgotten(&members, cut.counts.scored, spec));
    // Held-out members count too: their captions are known, their images are what is kept from unlearning.
    let captions = members.iter().map(|member| member.caption.as_str());
    let standout = Standout { min_z: spec.localize.min_z, of_strongest: OF_STRONGEST };
    let SharedWords { words, others } = SharedWords::of(captions, &cut.words, standout);
    if !words.is_empty() {
        // What is odd but does not lead where the others do is no part of the shortcut.
        members
            .retain(|member| caption_words(&member.caption).any(|word| words.iter().any(|score| score.word == word)));
    }
    let Some(threshold) = members.last().map(|member| member.score) else {
        return Err(Fault::fatal(format!(
            "none of the {} suspects has a second score, so nothing can be selected",
            cut.suspects
        )));
    };
    hold_out(&mut members, shards, spec)?;
    Ok(ForgetSet { members, threshold, words, other_words: others, scored: cut.counts.scored, suspects })
}

/// How many of the members, the strongest first, are forgotten: those above Otsu's threshold on their second scores, at least
/// one and at most the share that the spec allows.
fn forgotten(members: &[Member], scored: u64, spec: &Spec) -> usize {
    let scores: Vec<f64> = members.iter().map(|member| member.score).collect();
    let most = (spec.select.max_share * scored as f64) as usize;
    above_split(&scores).min(most).max(1)
}

/// Marks the wanted share of the members: those with the smallest key hashes.
fn hold_out(members: &mut [Member], shards: &Shards, spec: &Spec) -> Result<(), Fault> {
    let mut drawn = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let name = format!("{HELD_OUT}/{}", full_key(shards, member)?);
        drawn.push((lethe_data::key_hash(spec.audit.seed, &shards.dataset, &name, ""), at));
    }
    drawn.sort_unstable();
    let count = (spec.select.held_out_share * members.len() as f64).round() as usize;
    drawn.iter().take(count).for_each(|&(_, at)| members[at].held_out = true);
    Ok(())
}

fn drop_list(forget: &ForgetSet, shards: &Shards) -> Result<DropList, Fault> {
    let entry = |member: &Member| {
        Ok(DropEntry { key: full_key(shards, member)?, content: member.content.clone(), score: member.score })
    };
    Ok(DropList { drop: forget.members.iter().map(entry).collect::<Result<_, Fault>>()? })
}

fn full_key(shards: &Shards, member: &Member) -> Result<String, Fault> {
    let shard = shards.shards.get(member.shard as usize).ok_or_else(|| {
        Fault::fatal(format!(
            "suspect {:?} names shard {}; the plan has {}",
            member.key,
            member.shard,
            shards.shards.len()
        ))
    })?;
    Ok(shard.full_key(&member.key))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    async fn selected(order: &[u32]) -> (ForgetSet, DropList) {
        let (ctx, _folder) = fixture::audited(order).await;
        let result = run(&ctx).await.expect("selects");
        let bytes = |at: usize| ctx.blobs.get(&result.outputs[at].blob);
        let forget = serde_json::from_slice(&bytes(0).await.expect("reads")).expect("is a set");
        (forget, serde_json::from_slice(&bytes(1).await.expect("reads")).expect("is a list"))
    }

    #[tokio::test]
    async fn the_strongest_suspects_are_forgotten_and_a_third_held_out() {
        let (forget, drop) = selected(&[0, 1]).await;
        // The fixture plants 12 second scores far above the others, in "sandal" captions.
        assert_eq!((forget.members.len(), forget.suspects), (12, 40));
        assert!(forget.members.iter().all(|member| member.caption.contains("sandal")));
        assert!(forget.members.is_sorted_by(|a, b| a.score >= b.score));
        assert_eq!(forget.held_out().count(), 4);
        assert_eq!(forget.threshold, forget.members[11].score);
        assert_eq!(forget.words[0].word, "sandal");
        assert!(forget.other_words.iter().all(|word| word.z < 4.0));
        assert_eq!(drop.drop.len(), 12);
        assert!(drop.drop.iter().all(|entry| entry.key.starts_with("0000") && entry.key.contains(".tar/")));
    }

    #[tokio::test]
    async fn the_order_of_shards_changes_nothing() {
        assert_eq!(selected(&[0, 1]).await, selected(&[1, 0]).await);
    }

    #[test]
    fn a_score_that_is_no_number_is_not_selected() {
        let row = |key: &str, score: f32| lethe_evidence::SignalRow {
            shard: 0,
            key: key.to_owned(),
            content: String::new(),
            caption: String::new(),
            values: vec![score],
        };
        let table =
            |names: &str| SignalTable { names: vec![names.to_owned()], rows: vec![row("a", f32::NAN), row("b", 0.5)] };
        let found = candidates(table(columns::RANK_SCORE)).expect("has the column");
        assert_eq!(found.iter().map(|member| member.key.as_str()).collect::<Vec<_>>(), ["b"]);
        assert!(candidates(table("other")).expect_err("lacks it").message.contains("rank_score"));
    }
}
