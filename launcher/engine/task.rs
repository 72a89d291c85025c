//! What a task of the engines' step tells: lines on its stdout, which the launcher puts into the step's log.

use crate::plan::task_lines::NotForked;
use crate::report::output;

/// An engine that is not forked.
#[derive(Debug)]
pub struct Refusal {
    /// Why; empty where another task tells it.
    pub why: String,
    /// Whether the Python that was to fork it has ended without a word.
    pub broke: bool,
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self { why, broke: false }
    }
}

/// Writes the line at once, so that srun does not mix it with another task's. A log that cannot be written must not keep the
/// engine from working.
pub fn tell(line: &str) {
    output::line(line);
}

/// Writes why its engine is not forked, unless another task of the node tells it.
pub fn tell_not_forked(told: &NotForked) {
    if !told.why.is_empty() {
        output::line(&told.line());
    }
}
