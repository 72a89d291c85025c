//! What a task of the engines' step tells: lines on its stdout, which the launcher puts into the step's log.

use super::output;

/// Writes the line at once, so that srun does not mix it with another task's. A log that cannot be written must not keep the
/// engine from working.
pub fn tell(line: &str) {
    output::line(line);
}
