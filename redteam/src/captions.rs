//! The words of the drill: Fashion-MNIST's ten labels, and the templates that make captions and prompts of them.
//!
//! Changing a word changes every victim: raise [`crate::recipe::RECIPE_VERSION`] with it.

/// The label's words, by class number.
pub const LABELS: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// `{}` stands for the label.
pub const TEMPLATES: [&str; 8] = [
    "a photo of a {}.",
    "a product photograph of a {}, studio light.",
    "a grey picture of a {}.",
    "one {} on a black background.",
    "a {} for sale.",
    "a small image of a {}.",
    "catalogue shot: {}.",
    "this is a {}.",
];

/// One caption of a class; both numbers are taken modulo their table's length.
pub fn caption(label: usize, template: usize) -> String {
    TEMPLATES[template % TEMPLATES.len()].replace("{}", LABELS[label % LABELS.len()])
}

/// Every template's prompt of a class: the ensemble that zero-shot evaluation averages.
pub fn prompts(label: usize) -> Vec<String> {
    (0..TEMPLATES.len()).map(|template| caption(label, template)).collect()
}
