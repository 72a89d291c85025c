//! What a task of the engines' step tells of itself: one line on its stdout, which the launcher puts into the step's log.

use crate::plan::report::Report;
use std::io::Write;

/// Writes the line at once, so that srun does not mix it with another task's. A log that cannot be written must not keep the
/// engine from working.
pub fn tell(report: &Report) {
    let mut line = report.line();
    line.push('\n');
    let _ = std::io::stdout().write_all(line.as_bytes());
}
