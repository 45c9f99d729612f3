//! The documents of a rendered overlay.

use serde_json::Value;

pub struct Documents(Vec<Value>);

impl Documents {
    pub fn new(documents: Vec<Value>) -> Self {
        Self(documents)
    }

    pub fn all(&self) -> &[Value] {
        &self.0
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |document| self::kind(document) == kind)
    }

    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.of_kind(kind).find(|document| text(document, "/metadata/name") == name)
    }

    pub fn is_there(&self, kind: &str, name: &str) -> bool {
        self.find(kind, name).is_some()
    }
}

pub fn kind(document: &Value) -> &str {
    text(document, "/kind")
}

/// Kind and name, as messages have it.
pub fn name(document: &Value) -> String {
    format!("{}/{}", kind(document), text(document, "/metadata/name"))
}

/// The text at a path, or none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of the list at a path, which may be missing.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Every object within a value, with where it lies.
pub fn objects(value: &Value) -> Vec<(String, &serde_json::Map<String, Value>)> {
    let mut found = Vec::new();
    let mut left = vec![(String::new(), value)];
    while let Some((path, value)) = left.pop() {
        match value {
            Value::Object(fields) => {
                left.extend(fields.iter().map(|(key, inner)| (format!("{path}/{key}"), inner)));
                found.push((path, fields));
            }
            Value::Array(members) => {
                left.extend(members.iter().enumerate().map(|(index, inner)| (format!("{path}/{index}"), inner)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// A quantity in its unit, such as bytes: `2Gi`, `500m`, `8`.
pub fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => f64::from(1 << 10),
        "Mi" => f64::from(1 << 20),
        "Gi" => f64::from(1 << 30),
        "Ti" => 1024.0 * f64::from(1 << 30),
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|number| number * factor)
}
