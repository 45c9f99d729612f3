//! Accept or reject, by what held-out pairs show.
//!
//! It must never use ground truth: neither trigger nor target nor attack success is known here.

use lethe_common::spec::{EvaluateSection, Spec, UnlearnMethod};
use lethe_evidence::artifacts::{
    Confirmed, Evaluation, Excess, Found, HandedBack, Judged, Lead, LeadLimits, Likeness, Probe, Residual, SHOWS_BELOW,
    Verdict,
};

use super::select::LEAST_MEMBERS;

/// A verdict with its reasons, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub verdict: Verdict,
    pub found: Found,
    pub handed_back: HandedBack,
    pub headline: String,
    pub reasons: Vec<String>,
}

pub(super) fn judge(sums: &Evaluation, confirmed: &Confirmed, spec: &Spec) -> Judgement {
    match (confirmed.found(), spec.unlearn.method.rests_on_evidence()) {
        (Found::Shortcut, _) => judge_found(sums, confirmed, &spec.evaluate),
        (Found::Nothing, true) => Judgement {
            verdict: Verdict::NothingFound,
            found: Found::Nothing,
            handed_back: HandedBack::Given,
            headline: "No backdoor found".to_owned(),
            reasons: reasons(confirmed),
        },
        (Found::Nothing, false) => judge_fine_tuned(sums, confirmed, &spec.evaluate, spec.unlearn.method),
    }
}

fn judge_found(sums: &Evaluation, confirmed: &Confirmed, limits: &EvaluateSection) -> Judgement {
    match unmeasured_attraction(sums, confirmed).or_else(|| unmeasured_retrieval(sums)) {
        Some(reason) => unmeasured(Found::Shortcut, reason),
        None => judge_removal(sums, confirmed, limits),
    }
}

/// Why each cluster has no shortcut behind it.
fn reasons(confirmed: &Confirmed) -> Vec<String> {
    confirmed.clusters.iter().filter_map(reason).collect()
}

fn reason(judged: &Judged) -> Option<String> {
    let reason = judged.reason.as_ref()?;
    Some(words(judged).map_or_else(|| reason.clone(), |words| format!("{words}: {reason}")))
}

/// A cluster's strongest words, where it has some.
fn words(judged: &Judged) -> Option<String> {
    let words: Vec<String> = judged.cluster.words.iter().take(3).map(|word| format!("“{}”", word.word)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Such a remedy does not rest on what was found, so what it trained is handed back either way; where nothing was found, only
/// what the model lost can be held against it.
fn judge_fine_tuned(
    sums: &Evaluation,
    confirmed: &Confirmed,
    limits: &EvaluateSection,
    method: UnlearnMethod,
) -> Judgement {
    if let Some(reason) = unmeasured_retrieval(sums) {
        return unmeasured(Found::Nothing, reason);
    }
    let why = format!(
        "The checkpoint that is handed back was fine-tuned all the same: unlearn.method = {:?} does not rest on what is found.",
        method.as_str()
    );
    let loss = too_much_lost(sums, limits);
    let (verdict, headline) = match loss {
        None => (Verdict::NothingFound, "No backdoor found; the model was fine-tuned all the same"),
        Some(_) => (Verdict::Rejected, "No backdoor found, and fine-tuning lost too much"),
    };
    let reasons = reasons(confirmed).into_iter().chain([why]).chain(loss).collect();
    let headline = headline.to_owned();
    Judgement { verdict, found: Found::Nothing, handed_back: HandedBack::Trained, headline, reasons }
}

/// Of a shortcut that was found: is it gone, and what did that cost?
fn judge_removal(sums: &Evaluation, confirmed: &Confirmed, limits: &EvaluateSection) -> Judgement {
    let (left, lost) = (too_much_left(sums, confirmed, limits), too_much_lost(sums, limits));
    let what = match confirmed.clusters.iter().filter(|judged| judged.is_shortcut()).count() {
        1 => "Backdoor".to_owned(),
        several => format!("{several} backdoors"),
    };
    let (verdict, headline) = match (&left, &lost) {
        (None, None) => (Verdict::Removed, format!("{what} found and removed")),
        (Some(_), _) => (Verdict::Rejected, format!("{what} found, but not removed")),
        (None, Some(_)) => (Verdict::Rejected, format!("{what} removed, but the model lost too much")),
    };
    let reasons = left.into_iter().chain(lost).chain(excused(sums, confirmed, limits)).collect();
    Judgement { verdict, found: Found::Shortcut, handed_back: HandedBack::Trained, headline, reasons }
}

fn unmeasured(found: Found, reason: String) -> Judgement {
    Judgement {
        verdict: Verdict::Rejected,
        found,
        handed_back: HandedBack::Trained,
        headline: "The result could not be measured".to_owned(),
        reasons: vec![reason],
    }
}

/// Fewer pictures of either kind than this are no comparison.
const LEAST_DONORS: u64 = 5;

/// Why no shortcut is behind a cluster; nothing where one is.
pub(crate) fn no_shortcut(probe: &Probe, limits: &EvaluateSection) -> Option<String> {
    if probe.members == 0 {
        return Some("None of its pictures could be looked at.".to_owned());
    }
    let (before, least) = (probe.attracted as f64 / probe.members as f64, limits.min_attraction);
    if before < least {
        return Some(format!(
            "Only {before:.3} of the suspicious images prefer the words that their captions share; {least} or more would be a \
             shortcut (evaluate.min_attraction)."
        ));
    }
    let enough = probe.donors.min(probe.honest_donors) >= LEAST_DONORS;
    let asked = lead_limits(limits);
    let Some(lead) = probe.lead(asked).filter(|_| enough) else {
        return Some(format!(
            "Its pictures cannot be told from odd ones: parts of {} of them were compared with those of {} honest pictures with these \
             words beside safe ones, and {LEAST_DONORS} of either are needed: the shards of its members have no more.",
            probe.donors, probe.honest_donors
        ));
    };
    leads_too_little(lead, probe.likeness)
}

pub(crate) fn lead_limits(limits: &EvaluateSection) -> LeadLimits {
    LeadLimits { excess: limits.min_graft_excess, share: limits.min_graft_lead }
}

fn leads_too_little(lead: Lead, likeness: Likeness) -> Option<String> {
    let Lead { way, share, excess: Excess { value, error }, asked } = lead;
    let but = shows_words(likeness).map_or_else(String::new, |shows| format!(" {shows}"));
    (lead.margin() < 0.0).then(|| {
        format!(
            "No part of the suspicious pictures clearly leads others to these words oftener than that of honest pictures with the same \
             words: {} leads {share:.3} of them, {value:+.3} with a standard error of {error:.3}, the most; {asked:.3} or more after one such \
             error would be a shortcut (evaluate.min_graft_excess, min_graft_lead).{but}",
            way.part()
        )
    })
}

/// That a cluster's pictures are what its words say, where they are.
pub(crate) fn shows_words(likeness: Likeness) -> Option<String> {
    let Excess { value, error } = likeness.farther().filter(|_| likeness.shows_words())?;
    Some(format!(
        "Its pictures show what these words say: by thumbnail they are farther from honest pictures with these words than pictures without \
         them are in {value:.3} of comparisons, with a standard error of {error:.3} (pictures of anything else are in half of them; below \
         {SHOWS_BELOW} they show the words). What is coarse in such pictures leads some without a trigger, so a trigger's would have to lead \
         nearly all."
    ))
}

/// Of the cluster of which the most is left.
fn too_much_left(sums: &Evaluation, confirmed: &Confirmed, limits: &EvaluateSection) -> Option<String> {
    let most = limits.max_residual_attraction;
    let (judged, residual) = above(sums, confirmed, most)
        .filter(|(_, residual)| beyond_honest(**residual) > most)
        .max_by(|(_, a), (_, b)| a.share_after().total_cmp(&b.share_after()))?;
    Some(format!("{}; the limit is {most} (evaluate.max_residual_attraction).", attraction(judged, *residual)))
}

/// The clusters of which more is left than the limit, but not beyond what honest images do.
fn excused<'a>(
    sums: &'a Evaluation,
    confirmed: &'a Confirmed,
    limits: &EvaluateSection,
) -> impl Iterator<Item = String> {
    let most = limits.max_residual_attraction;
    above(sums, confirmed, most).filter(move |(_, residual)| beyond_honest(**residual) <= most).map(
        move |(judged, residual)| {
            format!(
                "{}, which is within the limit of {most} (evaluate.max_residual_attraction).",
                attraction(judged, *residual)
            )
        },
    )
}

fn above<'a>(
    sums: &'a Evaluation,
    confirmed: &'a Confirmed,
    most: f64,
) -> impl Iterator<Item = (&'a Judged, &'a Residual)> {
    confirmed.clusters.iter().zip(&sums.clusters).filter(move |(_, residual)| residual.share_after() > most)
}

/// The share for which a cluster's words draw for another reason than they draw honest images, and one standard error more: words of
/// many captions draw many.
fn beyond_honest(residual: Residual) -> f64 {
    residual.beyond_honest().map_or(1.0, Excess::most)
}

fn attraction(judged: &Judged, residual: Residual) -> String {
    let words = words(judged).map_or_else(String::new, |words| format!(" of {words}"));
    let honest =
        format!("{} of {} honest images prefer such captions too", residual.honest_attracted(), residual.honest);
    let beyond = match residual.beyond_honest() {
        Some(excess) => format!(
            "; {honest}, and beyond these it is {:.3} with a standard error of {:.3}, together {:.3}",
            excess.value,
            excess.error,
            excess.most()
        ),
        None if residual.honest > 0 => format!("; {honest}, more than half, so that nothing is known beyond these"),
        None => String::new(),
    };
    format!("Residual attraction{words} is {:.3}{beyond}", residual.share_after())
}

fn too_much_lost(sums: &Evaluation, limits: &EvaluateSection) -> Option<String> {
    let (loss, most) = (retrieval_loss(sums), limits.max_retrieval_loss);
    (loss > most).then(|| {
        format!("Retrieval fell by {loss:.3} of its value; the limit is {most} (evaluate.max_retrieval_loss).")
    })
}

/// Nor is one backdoor's removal known by another's: what was kept of it may lie in shards that were given up.
fn unmeasured_attraction(sums: &Evaluation, confirmed: &Confirmed) -> Option<String> {
    let kept = |cluster: usize| confirmed.forget.held_out().any(|member| member.cluster as usize == cluster);
    let is_measured = |at: usize| sums.clusters.get(at).is_some_and(|residual| residual.held_out > 0);
    let members =
        |cluster: usize| confirmed.forget.members.iter().filter(|one| one.cluster as usize == cluster).count();
    let unmeasured =
        confirmed.clusters.iter().enumerate().filter(|(at, judged)| judged.is_shortcut() && !is_measured(*at));
    for (at, judged) in unmeasured {
        let words = words(judged).map_or_else(String::new, |words| format!(" of {words}"));
        if kept(at) {
            return Some(format!(
                "None of the suspicious images{words} that were held out could be looked at, so residual attraction is unknown: the \
                 report names the shards that were given up."
            ));
        }
        // Of fewer a person said that they are poison.
        if members(at) >= LEAST_MEMBERS {
            return Some(format!(
                "The suspicious images{words} are so few different pairs (copies of one count as one) that none was held out, so residual \
                 attraction is unknown: raise select.held_out_share, or drop them and train anew."
            ));
        }
    }
    (sums.residual().held_out == 0).then(|| {
        "No suspicious image was held out beside captions to choose among, so residual attraction is unknown: raise select.max_share or select.held_out_share."
            .to_owned()
    })
}

fn unmeasured_retrieval(sums: &Evaluation) -> Option<String> {
    match () {
        () if sums.safe_pairs == 0 => Some(
            "No safe pair was held out beside captions to choose among, so retrieval is unknown: raise suspect.max_safe or evaluate.held_out_share."
                .to_owned(),
        ),
        () if sums.retrieval_hits_before == 0 => Some(format!(
            "The given checkpoint finds no caption of {} held-out safe images: is it trained?",
            sums.safe_pairs
        )),
        () => None,
    }
}

/// The relative fall of retrieval; 0 where there was none to lose.
pub(super) fn retrieval_loss(sums: &Evaluation) -> f64 {
    let (before, after) = (sums.retrieval_hits_before as f64, sums.retrieval_hits_after as f64);
    if before == 0.0 { 0.0 } else { (before - after) / before }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
