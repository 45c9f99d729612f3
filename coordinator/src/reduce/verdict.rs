//! Accept or reject, by what held-out pairs show.
//!
//! It must never use ground truth: neither trigger nor target nor attack success is known here.

use lethe_common::spec::{EvaluateSection, Spec, UnlearnMethod};
use lethe_evidence::artifacts::{Evaluation, Found, HandedBack, Verdict};

/// A verdict with its reasons, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub verdict: Verdict,
    pub found: Found,
    pub handed_back: HandedBack,
    pub headline: &'static str,
    pub reasons: Vec<String>,
}

pub(super) fn judge(sums: &Evaluation, spec: &Spec) -> Judgement {
    match spec.unlearn.method.rests_on_evidence() {
        true => judge_unlearned(sums, &spec.evaluate),
        false => judge_fine_tuned(sums, &spec.evaluate, spec.unlearn.method),
    }
}

/// Where nothing was found, what unlearning did is not handed back.
fn judge_unlearned(sums: &Evaluation, limits: &EvaluateSection) -> Judgement {
    if let Some(reason) = unmeasured_attraction(sums).or_else(|| unmeasured_retrieval(sums)) {
        return unmeasured(Found::Shortcut, reason);
    }
    match no_shortcut(sums, limits) {
        Some(reason) => Judgement {
            verdict: Verdict::NothingFound,
            found: Found::Nothing,
            handed_back: HandedBack::Given,
            headline: "No backdoor found",
            reasons: vec![reason],
        },
        None => judge_removal(sums, limits),
    }
}

/// Such a remedy does not rest on what was found, so what it trained is handed back either way; where nothing was found, only
/// what the model lost can be held against it.
fn judge_fine_tuned(sums: &Evaluation, limits: &EvaluateSection, method: UnlearnMethod) -> Judgement {
    let nothing = unmeasured_attraction(sums).or_else(|| no_shortcut(sums, limits));
    let found = if nothing.is_some() { Found::Nothing } else { Found::Shortcut };
    if let Some(reason) = unmeasured_retrieval(sums) {
        return unmeasured(found, reason);
    }
    let Some(reason) = nothing else { return judge_removal(sums, limits) };
    let why = format!(
        "The checkpoint that is handed back was fine-tuned all the same: unlearn.method = {:?} does not rest on what is found.",
        method.as_str()
    );
    let loss = too_much_lost(sums, limits);
    let (verdict, headline) = match loss {
        None => (Verdict::NothingFound, "No backdoor found; the model was fine-tuned all the same"),
        Some(_) => (Verdict::Rejected, "No backdoor found, and fine-tuning lost too much"),
    };
    let reasons = [reason, why].into_iter().chain(loss).collect();
    Judgement { verdict, found: Found::Nothing, handed_back: HandedBack::Trained, headline, reasons }
}

/// Of a shortcut that was found: is it gone, and what did that cost?
fn judge_removal(sums: &Evaluation, limits: &EvaluateSection) -> Judgement {
    let (left, lost) = (too_much_left(sums, limits), too_much_lost(sums, limits));
    let (verdict, headline) = match (&left, &lost) {
        (None, None) => (Verdict::Removed, "Backdoor found and removed"),
        (Some(_), _) => (Verdict::Rejected, "Backdoor found, but not removed"),
        (None, Some(_)) => (Verdict::Rejected, "Backdoor removed, but the model lost too much"),
    };
    let reasons = left.into_iter().chain(lost).collect();
    Judgement { verdict, found: Found::Shortcut, handed_back: HandedBack::Trained, headline, reasons }
}

fn unmeasured(found: Found, reason: String) -> Judgement {
    Judgement {
        verdict: Verdict::Rejected,
        found,
        handed_back: HandedBack::Trained,
        headline: "The result could not be measured",
        reasons: vec![reason],
    }
}

fn attracted(hits: u64, sums: &Evaluation) -> f64 {
    hits as f64 / sums.held_out_forget as f64
}

fn no_shortcut(sums: &Evaluation, limits: &EvaluateSection) -> Option<String> {
    let (before, least) = (attracted(sums.attracted_before, sums), limits.min_attraction);
    if before < least {
        return Some(format!(
            "Only {before:.3} of the held-out suspicious images prefer the words that their captions share; {least} or more would \
             be a shortcut (evaluate.min_attraction)."
        ));
    }
    let (excess, least) = (sums.grafts.excess()?, limits.min_graft_excess);
    (excess < least).then(|| {
        format!(
            "Parts of suspicious pictures lead other pictures to these words no oftener than parts of honest pictures with the \
             same words: the difference is {excess:+.3} at most; {least} or more would be a shortcut (evaluate.min_graft_excess)."
        )
    })
}

fn too_much_left(sums: &Evaluation, limits: &EvaluateSection) -> Option<String> {
    let (after, most) = (attracted(sums.attracted_after, sums), limits.max_residual_attraction);
    (after > most)
        .then(|| format!("Residual attraction is {after:.3}; the limit is {most} (evaluate.max_residual_attraction)."))
}

fn too_much_lost(sums: &Evaluation, limits: &EvaluateSection) -> Option<String> {
    let (loss, most) = (retrieval_loss(sums), limits.max_retrieval_loss);
    (loss > most).then(|| {
        format!("Retrieval fell by {loss:.3} of its value; the limit is {most} (evaluate.max_retrieval_loss).")
    })
}

fn unmeasured_attraction(sums: &Evaluation) -> Option<String> {
    (sums.held_out_forget == 0).then(|| {
        "No suspicious image was held out, so residual attraction is unknown: raise select.max_share or select.held_out_share."
            .to_owned()
    })
}

fn unmeasured_retrieval(sums: &Evaluation) -> Option<String> {
    match () {
        () if sums.safe_pairs == 0 => Some(
            "No safe pair was held out, so retrieval is unknown: raise suspect.max_safe or evaluate.held_out_share."
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
mod tests {
    use lethe_evidence::artifacts::{Graft, Grafts};

    use super::*;

    fn sums(attracted: (u64, u64), hits: (u64, u64)) -> Evaluation {
        Evaluation {
            safe_pairs: 200,
            retrieval_hits_before: hits.0,
            retrieval_hits_after: hits.1,
            drift_sum: 1.0,
            held_out_forget: 100,
            attracted_before: attracted.0,
            attracted_after: attracted.1,
            grafts: Grafts::default(),
        }
    }

    /// A part of a suspicious picture leads to the words as an honest one's does, or more often in one way of grafting.
    #[test]
    fn what_carries_over_no_more_than_honest_pictures_is_no_shortcut() {
        let graft =
            |suspicious_attracted| Graft { suspicious: 100, suspicious_attracted, honest: 200, honest_attracted: 80 };
        for (halves, coarse, found) in [(45, 20, Found::Nothing), (20, 49, Found::Nothing), (20, 51, Found::Shortcut)] {
            let grafts = Grafts { halves: graft(halves), coarse: graft(coarse), fine: Graft::default() };
            let judgement = judge(&Evaluation { grafts, ..sums((99, 2), (100, 100)) }, &spec("tokens"));
            assert_eq!(judgement.found, found, "{halves} {coarse}: {:?}", judgement.reasons);
            let told = judgement.reasons.iter().any(|reason| reason.contains("evaluate.min_graft_excess"));
            assert_eq!(told, found == Found::Nothing);
        }
    }

    fn spec(method: &str) -> Spec {
        let text = serde_json::json!({
            "audit": {"id": "a"}, "model": {"config": "m.json"}, "data": {"shards": ["0.tar"]},
            "unlearn": {"method": method},
        });
        serde_json::from_value(text).expect("is a spec")
    }

    #[test]
    fn acceptance_holds_both_limits() {
        for method in ["tokens", "whole-pair"] {
            // The limits: attraction 0.75, residual 0.25, loss 0.05.
            for (attracted, hits, verdict, reasons) in [
                ((99, 2), (100, 100), Verdict::Removed, 0),
                ((99, 25), (100, 95), Verdict::Removed, 0),
                ((99, 0), (100, 140), Verdict::Removed, 0),
                ((99, 26), (100, 100), Verdict::Rejected, 1),
                ((99, 2), (100, 94), Verdict::Rejected, 1),
                ((99, 80), (100, 10), Verdict::Rejected, 2),
                ((75, 2), (100, 100), Verdict::Removed, 0),
                ((74, 1), (100, 100), Verdict::NothingFound, 1),
                ((25, 99), (100, 0), Verdict::NothingFound, 1),
                ((99, 2), (0, 0), Verdict::Rejected, 1),
            ] {
                let judgement = judge(&sums(attracted, hits), &spec(method));
                assert_eq!((judgement.verdict, judgement.reasons.len()), (verdict, reasons), "{attracted:?} {hits:?}");
                let (found, handed_back) = match verdict {
                    Verdict::NothingFound => (Found::Nothing, HandedBack::Given),
                    Verdict::Removed | Verdict::Rejected => (Found::Shortcut, HandedBack::Trained),
                };
                assert_eq!((judgement.found, judgement.handed_back), (found, handed_back));
            }
        }
    }

    #[test]
    fn what_was_fine_tuned_is_handed_back_whatever_was_found() {
        for method in ["fine-tune", "clean-clip", "par"] {
            for (attracted, hits, verdict, found) in [
                ((74, 70), (100, 95), Verdict::NothingFound, Found::Nothing),
                ((74, 1), (100, 94), Verdict::Rejected, Found::Nothing),
                ((99, 2), (100, 95), Verdict::Removed, Found::Shortcut),
                ((99, 26), (100, 95), Verdict::Rejected, Found::Shortcut),
                ((99, 2), (100, 94), Verdict::Rejected, Found::Shortcut),
            ] {
                let judgement = judge(&sums(attracted, hits), &spec(method));
                assert_eq!((judgement.verdict, judgement.found), (verdict, found), "{method} {attracted:?} {hits:?}");
                assert_eq!(judgement.handed_back, HandedBack::Trained);
                let told = judgement.reasons.iter().any(|reason| reason.contains("fine-tuned all the same"));
                assert_eq!(told, found == Found::Nothing, "{:?}", judgement.reasons);
            }
            let nobody = Evaluation { held_out_forget: 0, ..sums((0, 0), (100, 99)) };
            assert_eq!(judge(&nobody, &spec(method)).verdict, Verdict::NothingFound);
            let unknown = Evaluation { safe_pairs: 0, ..sums((99, 0), (9, 9)) };
            assert_eq!(judge(&unknown, &spec(method)).verdict, Verdict::Rejected);
        }
    }

    #[test]
    fn what_was_not_measured_is_not_accepted() {
        for nothing in [
            Evaluation { held_out_forget: 0, ..sums((0, 0), (9, 9)) },
            Evaluation { safe_pairs: 0, ..sums((99, 0), (9, 9)) },
        ] {
            assert_eq!(judge(&nothing, &spec("tokens")).verdict, Verdict::Rejected);
        }
    }
}
