//! Where a manifest says that a picture lies.
//!
//! It must never name anything outside the manifest's own folder but a URL, which the source's allow-list judges.

use std::fmt;
use std::path::{Component, Path};

/// The longest location, in bytes.
const MAX_LOCATION_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A name under the manifest's folder, its parts joined by `/`.
    Under(String),
    /// With its scheme.
    Url(String),
}

impl Location {
    /// # Errors
    /// A name that is absolute, leaves the folder, or is too long.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_LOCATION_BYTES || text.contains(char::is_control) {
            return Err(format!("its image's location has {} bytes; expected 1 to {MAX_LOCATION_BYTES}", text.len()));
        }
        if text.contains("://") {
            return Ok(Self::Url(text.to_owned()));
        }
        let stays = |part: Component<'_>| match part {
            Component::Normal(_) | Component::CurDir => true,
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => false,
        };
        // A backslash is no separator here, but may become one elsewhere.
        if text.contains('\\') || !Path::new(text).components().all(stays) {
            return Err(format!(
                "its image {text:?} is absolute or contains '..'; expected a path under the manifest's"
            ));
        }
        Ok(Self::Under(text.trim_start_matches("./").to_owned()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Under(text) | Self::Url(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_folder() {
        for text in ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "..", "a\\..\\b", "", "a\nb", &"x".repeat(5000)] {
            assert!(Location::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Location::parse("./a/b.jpg"), Ok(Location::Under("a/b.jpg".into())));
        assert_eq!(Location::parse("s3://b/k"), Ok(Location::Url("s3://b/k".into())));
    }
}
