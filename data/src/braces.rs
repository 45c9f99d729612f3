//! From patterns such as `data/{00000..00019}.tar` to the names that they stand for.
//!
//! It must never look whether anything is there.

/// The most shards one data set may have.
pub const MAX_SHARDS: usize = 1 << 20;

/// Every text that a pattern stands for: `{first..last}` (padded with zeros as its ends are) and `{a,b}`, several in one
/// pattern if need be, in order.
///
/// # Errors
/// Braces that are malformed, or stand for too many.
pub fn braces(pattern: &str) -> Result<Vec<String>, String> {
    let Some((head, rest)) = pattern.split_once('{') else {
        return if pattern.contains('}') { Err("'}' without '{'".to_owned()) } else { Ok(vec![pattern.to_owned()]) };
    };
    let (inner, tail) = rest.split_once('}').ok_or("'{' without '}'")?;
    if head.contains('}') || inner.contains('{') {
        return Err("braces cannot be nested; write each range once".to_owned());
    }
    let (choices, tails) = (choices(inner)?, braces(tail)?);
    if choices.len().saturating_mul(tails.len()) > MAX_SHARDS {
        return Err(format!("more than {MAX_SHARDS} shards; use larger shards"));
    }
    let join = |choice: &String| tails.iter().map(|tail| format!("{head}{choice}{tail}")).collect::<Vec<_>>();
    Ok(choices.iter().flat_map(join).collect())
}

/// What stands between one pair of braces.
fn choices(braces: &str) -> Result<Vec<String>, String> {
    let Some((first, last)) = braces.split_once("..") else {
        return match braces.contains(',') {
            true => Ok(braces.split(',').map(str::to_owned).collect()),
            false => Err(format!("{{{braces}}} is neither a range such as {{000..019}} nor a list such as {{a,b}}")),
        };
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (Some(from), Some(to)) = (digits(first), digits(last)) else {
        return Err(format!("{{{braces}}} is not a range of whole numbers such as {{000..019}}"));
    };
    if from > to || to - from >= MAX_SHARDS as u64 {
        return Err(format!("range {{{braces}}} must rise and have at most {MAX_SHARDS} numbers"));
    }
    let padded = [first, last].iter().any(|text| text.len() > 1 && text.starts_with('0'));
    let width = if padded { first.len().max(last.len()) } else { 1 };
    Ok((from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_expand_as_in_a_shell() {
        for (pattern, expected) in [
            ("a.tar", vec!["a.tar"]),
            ("{08..11}", vec!["08", "09", "10", "11"]),
            ("{8..11}", vec!["8", "9", "10", "11"]),
            ("{0..2}.tar", vec!["0.tar", "1.tar", "2.tar"]),
            ("{a,b}/{1..2}.tar", vec!["a/1.tar", "a/2.tar", "b/1.tar", "b/2.tar"]),
        ] {
            assert_eq!(braces(pattern), Ok(expected.iter().map(|s| s.to_string()).collect()));
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in ["{", "}", "a}{b", "{}", "{a}", "{2..1}", "{a..b}", "{1..}", "{-1..2}", "{{1..2},3}"] {
            assert!(braces(pattern).is_err(), "{pattern}");
        }
        assert!(braces("{0..99999}{0..99999}").is_err(), "product over the limit");
        assert!(braces("{0..18446744073709551615}").is_err());
    }
}
