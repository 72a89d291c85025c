//! Showing the last lines of logs, and that they are not whole.

use super::Supervisor;
use super::children::TAIL_LINES;
use super::event::Level;
use super::probes::logs::TOTAL;
use crate::here::os::time_limited::{LOOK, within};
use crate::plan::name::{Name, ProcessId};
use std::path::Path;

impl Supervisor<'_> {
    /// The last lines of a process's log.
    pub(super) fn show_log(&self, process: ProcessId) {
        if let Some(name) = self.children.log_name(process) {
            self.console
                .log_lines(&name, &self.children.tail(process, TAIL_LINES));
        }
    }

    /// Says that the middle of a log was left out.
    pub(super) fn say_cut(&mut self, log: &Path) {
        self.say(
            Level::Warning,
            format!(
                "{} has grown too long, so its middle is left out, and will be again: all logs of a job have {} MiB together",
                log.display(),
                TOTAL >> 20
            ),
        );
    }

    /// The lines of one task in the log of the step, or of all where it wrote none.
    pub(super) fn show_task(&self, task: u32) {
        let step = ProcessId {
            service: Name::Engines,
            index: 0,
        };
        let Some(log) = self.children.log(step).cloned() else {
            return;
        };
        let name = format!("task {task} in {}", log.path.display());
        let own = within(LOOK, move || log.labelled(&format!("{task}: "), TAIL_LINES));
        let own = self.children.without_secrets(own.unwrap_or_default());
        if own.is_empty() {
            return self.show_log(step);
        }
        self.console.log_lines(&name, &own);
    }
}
