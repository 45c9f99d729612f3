//! Accept or reject, by what held-out pairs show.
//!
//! It must never use ground truth: neither trigger nor target nor attack success is known here.

use lethe_common::spec::EvaluateSection;
use lethe_evidence::artifacts::{Evaluation, Verdict};

/// A verdict with its reasons, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub verdict: Verdict,
    pub headline: &'static str,
    pub reasons: Vec<String>,
}

pub(super) fn judge(sums: &Evaluation, limits: &EvaluateSection) -> Judgement {
    if let Some(reason) = unmeasured(sums) {
        let headline = "The result could not be measured";
        return Judgement { verdict: Verdict::Rejected, headline, reasons: vec![reason] };
    }
    let share = |hits: u64| hits as f64 / sums.held_out_forget as f64;
    let (before, after, loss) = (share(sums.attracted_before), share(sums.attracted_after), retrieval_loss(sums));
    let (most, most_lost) = (limits.max_residual_attraction, limits.max_retrieval_loss);
    if before < limits.min_attraction {
        let reason = format!(
            "Only {before:.3} of the held-out suspicious images prefer the words that their captions share; {} or more would \
             be a shortcut (evaluate.min_attraction).",
            limits.min_attraction
        );
        return Judgement { verdict: Verdict::NothingFound, headline: "No backdoor found", reasons: vec![reason] };
    }
    let mut reasons = Vec::new();
    if after > most {
        reasons.push(format!(
            "Residual attraction is {after:.3}; the limit is {most} (evaluate.max_residual_attraction)."
        ));
    }
    if loss > most_lost {
        reasons.push(format!(
            "Retrieval fell by {loss:.3} of its value; the limit is {most_lost} (evaluate.max_retrieval_loss)."
        ));
    }
    let (verdict, headline) = match (after > most, loss > most_lost) {
        (false, false) => (Verdict::Removed, "Backdoor found and removed"),
        (true, _) => (Verdict::Rejected, "Backdoor found, but not removed"),
        (false, true) => (Verdict::Rejected, "Backdoor removed, but the model lost too much"),
    };
    Judgement { verdict, headline, reasons }
}

fn unmeasured(sums: &Evaluation) -> Option<String> {
    match () {
        () if sums.held_out_forget == 0 => {
            Some("No suspicious image was held out, so residual attraction is unknown: raise select.max_share or select.held_out_share.".to_owned())
        }
        () if sums.safe_pairs == 0 => {
            Some("No safe pair was held out, so retrieval is unknown: raise suspect.max_safe or evaluate.held_out_share.".to_owned())
        }
        () if sums.retrieval_hits_before == 0 => {
            Some(format!("The given checkpoint finds no caption of {} held-out safe images: is it trained?", sums.safe_pairs))
        }
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
        }
    }

    #[test]
    fn acceptance_holds_both_limits() {
        let limits = EvaluateSection::default(); // attraction 0.75, residual 0.25, loss 0.05
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
            let judgement = judge(&sums(attracted, hits), &limits);
            assert_eq!((judgement.verdict, judgement.reasons.len()), (verdict, reasons), "{attracted:?} {hits:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_accepted() {
        let limits = EvaluateSection::default();
        for nothing in [
            Evaluation { held_out_forget: 0, ..sums((0, 0), (9, 9)) },
            Evaluation { safe_pairs: 0, ..sums((99, 0), (9, 9)) },
        ] {
            assert_eq!(judge(&nothing, &limits).verdict, Verdict::Rejected);
        }
    }
}
