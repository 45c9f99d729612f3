//! What must hold of an overlay and no schema sees: a file a rule, each a function from the documents to what is wrong.

mod blobs;
mod certificates;
mod commands;
mod custom;
mod enumerations;
mod labels;
mod lifecycle;
mod network;
mod ports;
mod references;
mod resources;
mod security;
mod selection;

pub use security::check as security_problems;

use crate::documents::Documents;

type Rule = fn(&Documents) -> Vec<String>;

const RULES: [Rule; 13] = [
    enumerations::check,
    custom::check,
    labels::check,
    selection::check,
    references::check,
    ports::check,
    security::check,
    resources::check,
    lifecycle::check,
    network::check,
    certificates::check,
    blobs::check,
    commands::check,
];

pub fn problems(documents: &Documents) -> Vec<String> {
    RULES.iter().flat_map(|rule| rule(documents)).collect()
}
