//! What a task of the engines' step tells of itself: one line on its stdout, which the launcher puts into the step's log.

use super::output;
use crate::plan::report::Report;

/// Writes the line at once, so that srun does not mix it with another task's. A log that cannot be written must not keep the
/// engine from working.
pub fn tell(report: &Report) {
    output::line(&report.line());
}
