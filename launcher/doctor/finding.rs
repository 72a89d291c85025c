//! One line of the doctor's sheet.

use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

/// How it is with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Worth knowing, and nothing is wrong; or it could not be looked at here.
    Note,
    /// A job would fail or be lame.
    Problem,
}

/// What was looked at, how it is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub state: State,
    /// What was looked at, one or two words.
    pub subject: String,
    /// What was seen, with names and numbers.
    pub seen: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(subject: &str, seen: impl Into<String>) -> Self {
        Self::new(State::Ok, subject, seen)
    }

    /// Worth knowing.
    pub fn note(subject: &str, seen: impl Into<String>) -> Self {
        Self::new(State::Note, subject, seen)
    }

    /// Wrong, and what to do.
    pub fn problem(subject: &str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(State::Problem, subject, seen).advise(advice)
    }

    fn new(state: State, subject: &str, seen: impl Into<String>) -> Self {
        Self {
            state,
            subject: subject.to_owned(),
            seen: seen.into(),
            advice: None,
        }
    }

    /// The same, with what to do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The finding as one line; colour codes are dropped where no person watches.
    #[must_use]
    pub fn line(&self) -> String {
        let (word, style) = match self.state {
            State::Ok => ("ok", AnsiColor::Green.on_default()),
            State::Note => ("note", Style::new().dimmed()),
            State::Problem => ("problem", AnsiColor::Red.on_default().bold()),
        };
        let mut line = format!(
            "{style}{word:<8}{style:#}{:<13} {}",
            self.subject,
            one_line(&self.seen)
        );
        if let Some(advice) = &self.advice {
            let _ = write!(line, " -> {}", one_line(advice));
        }
        line
    }
}

/// A program's own words can have several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
