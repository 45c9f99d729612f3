//! Files by their bytes: those of the result, and those of the model.
//!
//! It must never look outside the result folder for a file of the result, whatever name a record gives it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Component, Path};

use lethe_common::blob::Digest;
use lethe_common::record::{Found, ModelFile, OutputFile};

use super::finding::{Finding, State};

pub fn of_result(result: &Path, file: &OutputFile) -> Finding {
    let plain = matches!(Path::new(&file.name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    if !plain {
        return Finding::new(&file.name, State::Changed, "a result has no file of such a name");
    }
    let (state, why) = compare(&result.join(&file.name), file.size_bytes, file.blake3);
    Finding::new(&file.name, state, why)
}

/// A checkpoint may lie elsewhere by now, which is no fault of the result's.
pub fn of_model(file: &ModelFile) -> Finding {
    let what = format!("{} {}", file.field, file.path.display());
    match &file.found {
        Found::Unread { problem } => {
            Finding::new(what, State::NotChecked, format!("the coordinator could not read it: {problem}"))
        }
        Found::Whole { size_bytes, blake3 } => match compare(&file.path, *size_bytes, *blake3) {
            (State::Missing, why) => Finding::new(what, State::NotChecked, format!("it is not here: {why}")),
            (state, why) => Finding::new(what, state, why),
        },
    }
}

fn compare(path: &Path, size_bytes: u64, expected: Digest) -> (State, String) {
    let found = File::open(path).and_then(|file| {
        let found_bytes = file.metadata()?.len();
        // One of another size is another file, and is not read for it.
        let digest = if found_bytes == size_bytes { Some(Digest::of_reader(file)?) } else { None };
        Ok((found_bytes, digest))
    });
    match found {
        Ok((_, Some(digest))) if digest == expected => (State::Ok, format!("BLAKE3 {}", digest.to_hex())),
        Ok((_, Some(digest))) => {
            (State::Changed, format!("its BLAKE3 was {} and is {}", expected.to_hex(), digest.to_hex()))
        }
        Ok((found_bytes, None)) => (State::Changed, format!("it had {size_bytes} bytes and has {found_bytes}")),
        Err(error) if error.kind() == ErrorKind::NotFound => (State::Missing, error.to_string()),
        Err(error) => (State::Changed, format!("it cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_not_followed() {
        for name in ["../report.json", "/etc/passwd", "a/b", "..", ""] {
            let file = OutputFile { name: name.to_owned(), size_bytes: 0, blake3: Digest::of(b"") };
            assert_eq!(of_result(Path::new("/"), &file).state, State::Changed, "{name:?}");
        }
    }

    #[test]
    fn a_model_that_is_elsewhere_is_not_called_changed() {
        let found = Found::Whole { size_bytes: 0, blake3: Digest::of(b"") };
        let file = ModelFile { field: "model.checkpoint".to_owned(), path: "/nonexistent/m".into(), found };
        assert_eq!(of_model(&file).state, State::NotChecked);
    }
}
