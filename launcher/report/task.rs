//! What a task of the engines' step tells of itself: one line on its stdout, which the launcher puts into the step's log.

use super::output;
use crate::plan::report::{NotForked, Report};

/// Writes the line at once, so that srun does not mix it with another task's. A log that cannot be written must not keep the
/// engine from working.
pub fn tell(report: &Report) {
    output::line(&report.line());
}

/// Writes why its engine is not forked, unless another task of the node tells it.
pub fn tell_not_forked(told: &NotForked) {
    if !told.why.is_empty() {
        output::line(&told.line());
    }
}
