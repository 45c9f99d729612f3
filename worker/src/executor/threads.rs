//! How many threads compute, and how many prepare pictures for them.
//!
//! It must never change what is computed but in its last bits (torch's threads), or at all (the decoders).

use anyhow::Context;

/// Threads of torch's own pool; one by default, since ranks share a machine.
const TORCH: &str = "LETHE_THREADS";
/// Threads that decode pictures beside the one that calls torch; by default the processors that are not torch's.
const DECODERS: &str = "LETHE_DECODERS";
/// More by default would hold more pictures than they gain.
const USUAL_DECODERS: usize = 16;

/// # Errors
/// The variable is no number of threads.
pub fn torch() -> anyhow::Result<usize> {
    Ok(asked(TORCH, std::env::var(TORCH).ok())?.unwrap_or(1))
}

/// # Errors
/// As [`torch`].
pub fn decoders() -> anyhow::Result<usize> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let spare = processors.saturating_sub(torch()?).clamp(1, USUAL_DECODERS);
    Ok(asked(DECODERS, std::env::var(DECODERS).ok())?.unwrap_or(spare))
}

fn asked(variable: &str, text: Option<String>) -> anyhow::Result<Option<usize>> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().filter(|n| (1..=1_024).contains(n));
    number.map(Some).with_context(|| format!("{variable}={text:?}; expected a number of threads, 1 to 1024"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_threads_is_one_at_least() {
        assert_eq!(asked(TORCH, None).expect("is unset"), None);
        assert_eq!(asked(TORCH, Some("4".to_owned())).expect("is a number"), Some(4));
        for bad in ["0", "-1", "many", "", "1025"] {
            let error = asked(DECODERS, Some(bad.to_owned())).expect_err(bad).to_string();
            assert!(error.starts_with("LETHE_DECODERS=") && error.contains(bad), "{error}");
        }
    }
}
