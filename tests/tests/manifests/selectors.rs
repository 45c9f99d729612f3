//! Label selectors, as Kubernetes reads them.

use serde_json::Value;

use crate::documents::{list, text};

/// Whether a selector (`matchLabels`, `matchExpressions`) takes in these labels; an empty one takes all.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.pointer("/matchLabels").unwrap_or(&Value::Null);
    carries(labels, wanted) && list(selector, "/matchExpressions").iter().all(|expression| holds(expression, labels))
}

/// Whether the labels have all that a plain map, such as a service's selector, names.
pub fn carries(labels: &Value, wanted: &Value) -> bool {
    let wanted = wanted.as_object().into_iter().flatten();
    wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn holds(expression: &Value, labels: &Value) -> bool {
    let found = labels.get(text(expression, "/key"));
    let among = || found.is_some_and(|value| list(expression, "/values").contains(value));
    match text(expression, "/operator") {
        "In" => among(),
        "NotIn" => !among(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false, // rules::enumerations tells it
    }
}
