//! Telling: the live line and the record, as often as it is worth its work.
//!
//! docs/design/scale.md explains the design.

use super::machine::State;
use super::notice::Notice;
use super::{Supervisor, timers};
use crate::plan::name::Name;
use crate::report::record::Written;
use std::time::{Duration, Instant};

/// As many times as long as a record took to write, it is left as it is at the least, unless the state changes: however many the
/// engines are, and however slow the file system is, writing takes a fixed part of the time.
const RECORDS_PART: u32 = 20;

impl Supervisor<'_> {
    /// Brings the live line up to date, and the record too where its turn has come.
    pub(super) fn tell(&mut self) {
        self.console.waiting(&self.machine.pending());
        if !self.unpublished {
            return;
        }
        let now = Instant::now();
        if self.clerk.busy {
            // What comes of it is told, and then the next one's turn is looked for.
        } else if self.record.state != word(self.machine.state()) || now >= self.next_record {
            self.publish();
        } else if !self.record_waits {
            self.record_waits = true;
            let left = self.next_record - now;
            timers::once(left, Notice::RecordIsDue, self.sender.clone());
        }
    }

    /// Brings the record up to date and has it written.
    fn publish(&mut self) {
        self.unpublished = false;
        self.bring_up_to_date();
        if self.is_ours() {
            self.clerk.write(self.record.clone());
        }
    }

    pub(super) fn bring_up_to_date(&mut self) {
        self.record.state = word(self.machine.state());
        if let Some(reason) = self.machine.reason() {
            self.record.reason = Some(reason.to_owned());
        }
        let missing = self.machine.missing_engines();
        let expected = usize::try_from(self.plan.engines).unwrap_or(usize::MAX);
        self.record.engines.registered =
            u32::try_from(expected.saturating_sub(missing.len())).unwrap_or(u32::MAX);
        self.record.engines.missing = missing;
        self.record.engines.guests = self.machine.guests();
        for name in [Name::Controller, Name::Jupyter] {
            let what = self.machine.hindered(name).map(str::to_owned);
            self.record.hindered.insert(name.word(), what);
        }
    }

    /// The record was written, or could not be.
    pub(super) fn record_written(&mut self, took: Duration, written: Written) {
        self.clerk.busy = false;
        self.next_record = Instant::now() + took * RECORDS_PART;
        match written {
            Ok(()) => {
                if let Some(path) = self.unwritable.take() {
                    self.console
                        .step(&format!("the record {} is written again", path.display()));
                }
            }
            Err((path, error)) => {
                if self.unwritable.as_ref() != Some(&path) {
                    let text = format!(
                        "the record {} cannot be written: {error}; the job goes on",
                        path.display()
                    );
                    self.console.warning(&text);
                    self.record.warn(text);
                    self.unwritable = Some(path);
                }
            }
        }
    }
}

/// The state as the record tells it.
fn word(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Ready => "ready",
        State::Degraded => "degraded",
        State::Stopping => "stopping",
        State::Ended => "ended",
    }
}
