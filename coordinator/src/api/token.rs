//! The bearer token that every call must carry.
//!
//! It must never be shown, and its comparison must take the same time whatever is presented.

use tonic::Status;
use tonic::codegen::http::HeaderMap;

/// Shorter ones can be guessed.
const MIN_TOKEN_BYTES: usize = 16;
const SCHEME: &str = "Bearer ";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the token has {found} bytes; expected at least {MIN_TOKEN_BYTES}: set LETHE_TOKEN to a long random text")]
pub struct TokenError {
    found: usize,
}

/// Kept as a hash: comparing hashes takes constant time, and a dump of memory shows no token.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl Token {
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let found = text.len();
        if found < MIN_TOKEN_BYTES { Err(TokenError { found }) } else { Ok(Self(blake3::hash(text.as_bytes()))) }
    }

    /// # Errors
    /// UNAUTHENTICATED without it.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Status> {
        let presented = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = presented.strip_prefix(SCHEME).unwrap_or_default();
        // blake3 compares hashes in constant time.
        match self.0 == blake3::hash(token.as_bytes()) {
            true => Ok(()),
            false => Err(Status::unauthenticated(
                "the call lacks this coordinator's token; send \"authorization: Bearer TOKEN\"",
            )),
        }
    }
}

impl std::fmt::Debug for Token {
    /// Not even its hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(header: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("authorization", header.parse().expect("is ascii"));
        }
        Token::new("0123456789abcdef").expect("is long enough").check(&headers).is_ok()
    }

    #[test]
    fn only_the_whole_token_is_admitted() {
        assert!(verdict(Some("Bearer 0123456789abcdef")));
        for wrong in ["", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "0123456789abcdef"] {
            assert!(!verdict(Some(wrong)), "{wrong:?}");
        }
        assert!(!verdict(None));
    }

    #[test]
    fn a_short_token_is_refused() {
        assert_eq!(Token::new("short").err(), Some(TokenError { found: 5 }));
    }
}
