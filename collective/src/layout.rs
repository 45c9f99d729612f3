//! Proves that all ranks are about to exchange the same tensors.
//!
//! c10d does not look. Measured on Gloo: tensors of equal size and other dtype are summed into nonsense and the call
//! succeeds; of other size, Gloo ends the process (`gloo::EnforceNotMet` on a thread of its own, which nothing can
//! catch). One gather at the start of a generation is what knowing better costs.

use tch::{Device, Kind, Tensor};

use crate::error::CollectiveError;
use crate::seam::Collective;

const OPERATION: &str = "require_same_layout";

/// Fails on every rank, with the same words, unless all ranks name the same tensors with the same dtypes and
/// shapes in the same order. Every rank must call it.
///
/// # Errors
/// `Other` names the first rank that differs from rank 0, and the first tensor.
pub fn require_same_layout(group: &dyn Collective, tensors: &[(&str, &Tensor)]) -> Result<(), CollectiveError> {
    let own: Vec<String> = tensors.iter().map(|(name, tensor)| describe(name, tensor)).collect();
    let text = own.join("\n").into_bytes();
    let sums = gather_sums(group, &text)?;
    if sums.iter().all(|sum| *sum == sums[0]) {
        return Ok(());
    }
    let texts = gather_texts(group, text, &sums)?;
    Err(refusal(difference(&texts)))
}

fn describe(name: &str, tensor: &Tensor) -> String {
    format!("{name:?} {:?} {:?}", tensor.kind(), tensor.size())
}

/// Length and hash of every rank's text.
fn gather_sums(group: &dyn Collective, text: &[u8]) -> Result<Vec<[i64; 2]>, CollectiveError> {
    let own = Tensor::from_slice(&[text.len() as i64, fnv1a(text) as i64]).f_to_device(group.device());
    let gathered = group.all_gather(&own.map_err(torch)?)?;
    gathered.iter().map(|sum| Ok([int(sum, 0)?, int(sum, 1)?])).collect()
}

fn int(tensor: &Tensor, at: i64) -> Result<i64, CollectiveError> {
    tensor.f_int64_value(&[at]).map_err(torch)
}

/// Every rank's text, each padded to the longest for the wire and cut again.
fn gather_texts(group: &dyn Collective, mut own: Vec<u8>, sums: &[[i64; 2]]) -> Result<Vec<String>, CollectiveError> {
    let length = |sum: &[i64; 2]| usize::try_from(sum[0]).unwrap_or(0);
    own.resize(sums.iter().map(length).max().unwrap_or(0), b' ');
    let gathered = group.all_gather(&Tensor::from_slice(&own).f_to_device(group.device()).map_err(torch)?)?;
    gathered.iter().zip(sums).map(|(padded, sum)| text_of(padded, length(sum))).collect()
}

fn text_of(padded: &Tensor, length: usize) -> Result<String, CollectiveError> {
    let padded = padded.f_to_device(Device::Cpu).and_then(|bytes| bytes.f_to_kind(Kind::Uint8)).map_err(torch)?;
    let mut bytes = Vec::<u8>::try_from(&padded).map_err(torch)?;
    bytes.truncate(length);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What the first rank that differs from rank 0 has in its first place that differs.
fn difference(texts: &[String]) -> String {
    let (first, others) = texts.split_first().expect("a world has a rank");
    let other = others.iter().position(|text| text != first);
    let Some(other) = other else { return "the tensors' hashes differ and their descriptions do not".to_owned() };
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (lines(first), lines(&others[other]));
    let at = (0..).find(|at| ours.get(*at) != theirs.get(*at)).unwrap_or(0);
    let said = |lines: &[&str]| lines.get(at).map_or_else(|| "no such tensor".to_owned(), |line| (*line).to_owned());
    format!("tensor {at} is {} on rank {} and {} on rank 0", said(&theirs), other + 1, said(&ours))
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

fn refusal(difference: String) -> CollectiveError {
    CollectiveError::Other {
        operation: OPERATION,
        detail: format!("{difference}; every rank must train the same model in the same precision"),
    }
}

fn torch(error: tch::TchError) -> CollectiveError {
    CollectiveError::Other { operation: OPERATION, detail: error.to_string() }
}

/// The 64-bit FNV-1a hash: it must be the same in every build that may meet another.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a() {
        // The reference values of the function's authors.
        assert_eq!((fnv1a(b""), fnv1a(b"a")), (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c));
    }

    #[test]
    fn the_first_difference_is_told_with_its_rank() {
        let texts = ["a\nb", "a\nb", "a\nc", "x"].map(str::to_owned);
        assert_eq!(difference(&texts), "tensor 1 is c on rank 2 and b on rank 0");
        assert_eq!(
            difference(&["a\nb", "a"].map(str::to_owned)),
            "tensor 1 is no such tensor on rank 1 and b on rank 0"
        );
    }
}
