//! Texts that nobody guesses.

use rustls::crypto::aws_lc_rs::default_provider;

const BYTES: usize = 32;

/// 256 bits from the system, as hexadecimal digits.
///
/// # Panics
/// Where the system has no randomness to give, in which case nothing can be guarded.
pub fn secret() -> String {
    let mut bytes = [0; BYTES];
    default_provider().secure_random.fill(&mut bytes).expect("the system gives randomness");
    blake3::Hash::from_bytes(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let (one, other) = (secret(), secret());
        assert!(one != other && one.len() == 2 * BYTES && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
