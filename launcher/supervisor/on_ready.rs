//! `--on-ready`: the user's own command, once the job is ready. Nothing waits for it, and it is ended with all that the job leaves.

use super::Supervisor;
use super::children::TAIL_LINES;
use super::event::{Exit, Level};
use crate::here::os::log::Log;
use crate::here::os::time_limited::{LOOK, within};
use crate::record::State;

/// How far it is.
#[derive(Debug, Default)]
pub(super) enum Progress {
    /// The job has not been ready, or no record tells that it is.
    #[default]
    Waits,
    /// It runs.
    Runs {
        /// The shell.
        pid: u32,
        /// What it writes.
        log: Log,
    },
    /// It has ended, or was never started.
    Done,
}

impl Supervisor<'_> {
    /// Starts it, now that a record was written, if that tells that the job is ready: the command reads it.
    pub(super) fn run_on_ready(&mut self, written: State) {
        let (Some(command), Progress::Waits) = (&self.plan.on_ready, &self.on_ready) else {
            return;
        };
        if !is_up(written) || !is_up(self.machine.state()) {
            return;
        }
        let record = self.publisher.record();
        let url = record.url.as_ref().map(ToString::to_string);
        self.on_ready = match self.children.spawn_on_ready(command, url.as_deref()) {
            Ok((pid, log)) => {
                self.say(Level::Detail, format!("--on-ready started (pid {pid})"));
                Progress::Runs { pid, log }
            }
            Err(failure) => {
                self.say(Level::Warning, failure.to_string());
                Progress::Done
            }
        };
    }

    /// A child ended: perhaps this one. What is killed with the job has not failed.
    pub(super) fn on_ready_ended(&mut self, child: u32, exit: &Exit) {
        match &self.on_ready {
            Progress::Runs { pid, .. } if *pid == child => {}
            _ => return,
        }
        let Progress::Runs { log, .. } = std::mem::replace(&mut self.on_ready, Progress::Done)
        else {
            return;
        };
        if *exit == Exit::Code(0) || !is_up(self.machine.state()) {
            return;
        }
        self.say(
            Level::Warning,
            format!("the command of --on-ready ended with {exit}; the job keeps running"),
        );
        let name = log.path.display().to_string();
        let tail = within(LOOK, move || log.tail(TAIL_LINES)).unwrap_or_default();
        self.console
            .log_lines(&name, &self.children.without_secrets(tail));
    }
}

fn is_up(state: State) -> bool {
    matches!(state, State::Ready | State::Degraded)
}
