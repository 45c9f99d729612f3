//! The members of one sample while they are read, and what becomes of them.
//!
//! It must never guess a caption or an image: what is missing or malformed makes a `BadSample`.

use bytes::Bytes;
use serde_json::Value;

use crate::keys;
use crate::sample::{BadSample, Limits, Sample};

/// Of members that are images; what they really are the first bytes tell.
pub(crate) const IMAGE_SUFFIXES: [&str; 5] = ["jpg", "jpeg", "png", "webp", "gif"];

/// What a member is to its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Image,
    Text,
    Json,
    /// Labels, embeddings and the like: passed over.
    Other,
}

impl Part {
    pub fn of(suffix: &str) -> Self {
        match suffix {
            "txt" => Self::Text,
            "json" => Self::Json,
            image if IMAGE_SUFFIXES.contains(&image) => Self::Image,
            _ => Self::Other,
        }
    }
}

/// Key (folder and name up to the first dot) and lower-case suffix, as WebDataset's `base_plus_ext`;
/// `None` for hidden files and names without a dot, which WebDataset passes over too.
pub(crate) fn split(name: &[u8]) -> Option<(String, String)> {
    let name = String::from_utf8_lossy(name);
    let base_at = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot_at = base_at + name[base_at..].find('.')?;
    let meta = name.starts_with("__") && name.ends_with("__");
    (dot_at > base_at && !meta).then(|| (name[..dot_at].to_owned(), name[dot_at + 1..].to_lowercase()))
}

#[derive(Debug)]
pub(super) struct Group {
    pub key: String,
    image: Option<(String, Bytes)>,
    text: Option<String>,
    json: Option<Described>,
    spoiled: Option<String>,
}

/// What a json member says.
#[derive(Debug)]
struct Described {
    caption: Option<String>,
    url: Option<String>,
}

impl Group {
    pub fn new(key: String, name: &[u8]) -> Self {
        let mut group = Self { key, image: None, text: None, json: None, spoiled: None };
        if std::str::from_utf8(name).is_err() {
            group.spoil("its name is not UTF-8".to_owned());
        }
        if let Some(problem) = keys::problem(&group.key) {
            group.spoil(problem);
        }
        group
    }

    /// Whether this very member came already, so that it must belong to another sample.
    pub fn has(&self, part: &Part, suffix: &str) -> bool {
        match part {
            Part::Image => self.image.as_ref().is_some_and(|(known, _)| known == suffix),
            Part::Text => self.text.is_some(),
            Part::Json => self.json.is_some(),
            Part::Other => false,
        }
    }

    /// The first reason stays.
    pub fn spoil(&mut self, reason: String) {
        self.spoiled.get_or_insert(reason);
    }

    /// Of several images the first counts.
    pub fn put(&mut self, part: &Part, suffix: String, body: Bytes, limits: Limits) {
        match part {
            Part::Image => drop(self.image.get_or_insert((suffix, body))),
            Part::Text => match String::from_utf8(body.into()) {
                Ok(text) => self.text = Some(text),
                Err(error) => self.spoil(format!("its caption is not UTF-8: {}", error.utf8_error())),
            },
            Part::Json => match describe(&body, limits.caption_bytes) {
                Ok(described) => self.json = Some(described),
                Err(reason) => self.spoil(reason),
            },
            Part::Other => {}
        }
    }

    /// Whether it needs nothing more, spoiled or not.
    pub fn is_whole(&self) -> bool {
        let described = self.json.as_ref().is_some_and(|json| json.caption.is_some());
        self.spoiled.is_some() || self.image.is_some() && (self.text.is_some() || described)
    }

    pub fn finish(self) -> Result<Sample, BadSample> {
        let Self { key, image, text, json, spoiled } = self;
        let (described, url) = json.map_or((None, None), |json| (json.caption, json.url));
        let reason = match (spoiled, image, text.or(described)) {
            (None, Some((_, image)), Some(caption)) => return Ok(Sample { key, image, caption, url }),
            (Some(reason), _, _) => reason,
            (None, None, _) => format!("it has no image; expected one of {}", IMAGE_SUFFIXES.join(", ")),
            (None, Some(_), None) => {
                "it has no caption; expected a txt member, or a json member with \"caption\" or \"text\"".to_owned()
            }
        };
        Err(BadSample { key, reason })
    }
}

fn describe(body: &[u8], caption_bytes: u64) -> Result<Described, String> {
    let json: Value = serde_json::from_slice(body).map_err(|error| format!("its json member: {error}"))?;
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let caption = text("caption").or_else(|| text("text"));
    match caption.as_ref().map_or(0, String::len) as u64 {
        long if long > caption_bytes => Err(format!("its caption has {long} bytes; the limit is {caption_bytes}")),
        _ => Ok(Described { caption, url: text("url") }),
    }
}
