//! Names near a mistyped one.
//!
//! It must never choose for the user: it only says what there is.

/// More would be a list to read rather than a hint.
const MAX_NAMES: usize = 3;

/// The names that `typed` may have meant, the nearest first.
pub fn near<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let allowed = 1 + typed.chars().count() / 3;
    let distance = |name: &str| strsim::damerau_levenshtein(typed, name);
    let likely = |name: &&str| distance(name) <= allowed || (typed.len() > 2 && name.starts_with(typed));
    let mut found: Vec<&str> = names.into_iter().filter(likely).collect();
    found.sort_by_key(|name| (distance(name), *name));
    found.truncate(MAX_NAMES);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_names_are_not() {
        let names = ["march", "march-2", "april", "match"];
        assert_eq!(near("marhc", names), ["march", "match"]);
        assert_eq!(near("mach", names), ["march", "match"]);
        assert_eq!(near("mar", names), ["march", "march-2"]);
        assert!(near("zebra", names).is_empty());
    }
}
