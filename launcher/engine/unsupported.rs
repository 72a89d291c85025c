//! Only Linux has what engines of a step are forked with; elsewhere only the laptop's commands are of use.

use super::task::Refusal;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// None is.
pub fn run(
    _python: &Path,
    _id: u32,
    _command: &Command,
    _common: &[String],
    node: &str,
    _started: impl FnOnce(u32),
) -> Result<ExitStatus, Refusal> {
    Err(format!("{node} does not run Linux").into())
}
