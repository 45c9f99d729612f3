//! Reads a spec file: parse, resolve paths against the file's folder, validate as a whole.

use std::path::{Path, PathBuf};

use super::validate::{Problem, validate};
use super::{PlanName, Spec};

#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("cannot read the spec {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The parser's message names line and column.
    #[error("{}: {message}", path.display())]
    Parse { path: PathBuf, message: String },
    #[error("{}:{}", path.display(), list(problems))]
    Invalid { path: PathBuf, problems: Vec<Problem> },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("\n  {p}")).collect()
}

/// Loads and checks a spec. Relative paths in it are relative to its folder.
pub fn load(path: &Path) -> Result<Spec, SpecError> {
    let text = std::fs::read_to_string(path).map_err(|source| SpecError::Read { path: path.to_owned(), source })?;
    let mut spec: Spec =
        toml::from_str(&text).map_err(|e| SpecError::Parse { path: path.to_owned(), message: e.to_string() })?;
    let absolute = std::path::absolute(path).map_err(|source| SpecError::Read { path: path.to_owned(), source })?;
    resolve(&mut spec, absolute.parent().unwrap_or(Path::new("/")));
    let problems = validate(&spec, &text);
    if problems.is_empty() { Ok(spec) } else { Err(SpecError::Invalid { path: path.to_owned(), problems }) }
}

fn resolve(spec: &mut Spec, folder: &Path) {
    let model = &mut spec.model;
    for path in [Some(&mut model.config), model.checkpoint.as_mut(), model.trusted.as_mut(), model.early.as_mut()]
        .into_iter()
        .flatten()
    {
        *path = folder.join(&*path);
    }
    for pattern in spec.data.shards.iter_mut().filter(|pattern| !pattern.contains("://")) {
        *pattern = folder.join(&*pattern).to_string_lossy().into_owned();
    }
    for file in spec.data.stores.values_mut().filter_map(|store| store.credentials_file.as_mut()) {
        *file = folder.join(&*file);
    }
}

impl Spec {
    /// What is wrong with a spec that did not come as a file, such as a message's: no lines.
    pub fn problems(&self) -> Vec<Problem> {
        validate(self, "")
    }

    /// The suspect checkpoint; validation has seen that an audit names one.
    pub fn suspect_checkpoint(&self) -> Option<&Path> {
        match self.audit.plan {
            PlanName::Ubt => self.model.checkpoint.as_deref(),
            PlanName::Train => None,
        }
    }
}
