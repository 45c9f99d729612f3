//! What `localize` shows a person: a sample, and where in it the backdoor lies.

use serde::{Deserialize, Serialize};

/// One shard's exhibits, or the result's, the most suspicious first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Exhibits {
    pub exhibits: Vec<Exhibit>,
    /// In a result: what the pictures of each of the report's clusters have in common and others lack ([`super::Look`]);
    /// nothing of a cluster where that is not clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_common: Vec<Option<Picture>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exhibit {
    pub key: String,
    pub shard: u32,
    pub caption: String,
    /// The `rank_score`.
    pub score: f64,
    /// The place of its cluster among the report's.
    pub cluster: u32,
    pub picture: Picture,
    pub grid: TokenGrid,
    /// The caption's words in order; together they need not give the caption back.
    pub words: Vec<ShadedWord>,
}

/// The model's view of an image: what it was shown after resize and crop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Pixels a side; pictures are square.
    pub side_px: u32,
    /// A PNG in base64 (standard alphabet, padded).
    pub png_base64: String,
}

/// The fall of the similarity when one image token is taken away, row by row from the top left.
/// Higher carries more of the match.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TokenGrid {
    pub rows: u32,
    pub columns: u32,
    /// `rows * columns` values.
    pub falls: Vec<f32>,
}

/// A word and how much of the match it carries, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadedWord {
    pub text: String,
    pub weight: f32,
}
