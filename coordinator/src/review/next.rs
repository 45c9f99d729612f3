//! The name of an audit that runs another again.
//!
//! It must never be one that is taken.

use std::collections::BTreeSet;

/// `march-2` for `march`, `march-3` where that is taken or for `march-2`.
pub fn next_free<'a>(of: &str, taken: impl IntoIterator<Item = &'a str>) -> String {
    let taken: BTreeSet<&str> = taken.into_iter().collect();
    let numbered = of.rsplit_once('-').and_then(|(stem, digits)| Some((stem, digits.parse::<u32>().ok()?)));
    let (stem, last) = numbered.unwrap_or((of, 1));
    let free = (last.saturating_add(1)..).map(|number| format!("{stem}-{number}"));
    free.into_iter().find(|id| !taken.contains(id.as_str())).expect("fewer audits than numbers are taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rerun_gets_the_next_free_number() {
        assert_eq!(next_free("march", ["march"]), "march-2");
        assert_eq!(next_free("march", ["march", "march-2"]), "march-3");
        assert_eq!(next_free("march-2", ["march", "march-2"]), "march-3");
        assert_eq!(next_free("data-march", []), "data-march-2");
    }
}
