//! One row of a manifest: what it says of a sample.
//!
//! It must never judge what the row says.

/// Column names in the order in which they are preferred; open_clip's are `filepath` and `title`.
pub(super) const IMAGE_COLUMNS: [&str; 4] = ["image", "filepath", "path", "url"];
pub(super) const CAPTION_COLUMNS: [&str; 3] = ["caption", "text", "title"];
pub(super) const KEY_COLUMN: &str = "key";
pub(super) const URL_COLUMN: &str = "url";

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// Counted from 1, without the header.
    pub number: u64,
    pub image: Option<String>,
    pub caption: Option<String>,
    pub key: Option<String>,
    pub url: Option<String>,
}

impl Row {
    /// For a sample that cannot be had.
    pub fn name(&self) -> String {
        let told = self.key.as_ref().or(self.image.as_ref()).filter(|told| told.len() <= 256);
        told.cloned().unwrap_or_else(|| format!("row {}", self.number))
    }
}
