//! `*` and `?` within one part of a path, as in a shell.
//!
//! It must never cross a `/`, nor match a hidden name that was not asked for.

/// Whether a pattern needs a listing.
pub fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// The folder that a glob is under, with its last slash: what a listing begins with.
pub(crate) fn folder(pattern: &str) -> &str {
    let glob = pattern.find(['*', '?']).unwrap_or(pattern.len());
    &pattern[..pattern[..glob].rfind('/').map_or(0, |slash| slash + 1)]
}

/// Whether a path has the pattern's parts.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

pub(crate) fn part_matches(pattern: &str, part: &str) -> bool {
    if part.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, part): (Vec<char>, Vec<char>) = (pattern.chars().collect(), part.chars().collect());
    // Where to go on after the last star, if what follows it does not fit.
    let (mut p, mut n, mut retry) = (0, 0, None);
    while n < part.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == part[n] => (p, n) = (p + 1, n + 1),
            Some(_) | None => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("a/*.tar", "a/0.tar", true),
            ("a/*.tar", "a/b/0.tar", false),
            ("*/?.tar", "a/0.tar", true),
            ("*/?.tar", "a/10.tar", false),
            ("a/*b*c", "a/xbybzc", true),
            ("a/*b*c", "a/xbybz", false),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("**", "ab", true),
            ("ü?", "üß", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        assert_eq!(folder("a/b*/c/*.tar"), "a/");
        assert_eq!(folder("*.tar"), "");
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!part_matches(&format!("{}b", "a*".repeat(200)), &"a".repeat(2_000)));
    }
}
