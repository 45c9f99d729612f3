//! What became of one thing that a record names.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ok,
    Changed,
    Missing,
    NotChecked,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok         ",
            Self::Changed => "changed    ",
            Self::Missing => "missing    ",
            Self::NotChecked => "not checked",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: String,
    pub state: State,
    pub why: String,
    /// Whether the caller asked for this very check: then it fails where it could not be made.
    pub asked: bool,
}

impl Finding {
    /// Of what is looked at in any case.
    pub fn new(what: impl Into<String>, state: State, why: impl Into<String>) -> Self {
        Self { what: what.into(), state, why: why.into(), asked: false }
    }

    pub fn asked(self) -> Self {
        Self { asked: true, ..self }
    }

    pub fn fails(&self) -> bool {
        match self.state {
            State::Ok => false,
            State::Changed | State::Missing => true,
            State::NotChecked => self.asked,
        }
    }

    pub fn line(&self) -> String {
        format!("{}  {}: {}\n", self.state.word(), self.what, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_checked_fails_where_it_was_asked_for() {
        let left_out = Finding::new("shards", State::NotChecked, "give --data");
        assert!(!left_out.fails() && left_out.clone().asked().fails());
        assert_eq!(left_out.line(), "not checked  shards: give --data\n");
        assert!(Finding::new("a", State::Missing, "").fails() && !Finding::new("a", State::Ok, "").asked().fails());
    }
}
