//! Which build this is, for the records of what it delivers.
//!
//! It must never guess: a build that was not told its commit says none.

use lethe_common::record::Code;

pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// As `make release` gives it; a build in a checkout would have to be made again with every commit.
const COMMIT: Option<&str> = option_env!("LETHE_COMMIT");

pub fn built() -> Code {
    let commit = COMMIT.filter(|commit| !commit.is_empty()).map(str::to_owned);
    Code { release: RELEASE.to_owned(), commit, method: env!("LETHE_METHOD").to_owned() }
}
