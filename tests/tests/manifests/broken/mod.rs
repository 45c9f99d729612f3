//! Manifests that are broken on purpose: each a small change to a rendered overlay, and what must be said of it.

mod table;

pub use table::{of_bucket, table};

use serde_json::Value;

use crate::documents::{self, Documents};

/// The overlay that is broken: it has every component but the bucket's.
pub const OVERLAY: &str = "ha";
/// What has that one.
pub const OF_BUCKET: &str = "bucket";

pub struct Broken {
    pub what: &'static str,
    /// Kind and name of the document.
    document: &'static str,
    change: Change,
    /// A part of what is said.
    pub message: &'static str,
}

enum Change {
    /// Puts a value at a path; `-` at its end appends.
    Set(&'static str, Value),
    Remove(&'static str),
    /// Leaves the whole document out.
    Drop,
}

impl Broken {
    /// The document as it was changed; nothing where it was left out.
    pub fn document<'a>(&self, changed: &'a Documents) -> Option<&'a Value> {
        changed.all().iter().find(|document| documents::name(document) == self.document)
    }

    /// The overlay with the change.
    ///
    /// # Panics
    /// Where there is nothing at the path: a change that changes nothing would prove nothing.
    pub fn apply(&self, whole: &Documents) -> Documents {
        let mut documents = whole.all().to_vec();
        let index = documents.iter().position(|document| documents::name(document) == self.document);
        let index = index.unwrap_or_else(|| panic!("{}: there is no {}", self.what, self.document));
        let before = documents[index].clone();
        match &self.change {
            Change::Drop => drop(documents.remove(index)),
            Change::Remove(path) => {
                let (above, key) = path.rsplit_once('/').expect("is a pointer");
                let above = documents[index].pointer_mut(above).unwrap_or_else(|| panic!("{}: no {above}", self.what));
                above.as_object_mut().expect("is an object").remove(&key.replace("~1", "/")).expect("is there");
            }
            Change::Set(path, value) => {
                let (above, key) = path.rsplit_once('/').expect("is a pointer");
                let above = documents[index].pointer_mut(above).unwrap_or_else(|| panic!("{}: no {above}", self.what));
                match above {
                    Value::Array(members) if key == "-" => members.push(value.clone()),
                    Value::Array(members) => members[key.parse::<usize>().expect("is an index")] = value.clone(),
                    Value::Object(fields) => drop(fields.insert(key.replace("~1", "/"), value.clone())),
                    other => panic!("{}: {path} lies in {other}", self.what),
                }
            }
        }
        if !matches!(self.change, Change::Drop) {
            assert_ne!(documents[index], before, "{}: nothing was changed", self.what);
        }
        Documents::new(documents)
    }
}
