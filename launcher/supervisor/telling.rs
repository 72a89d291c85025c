//! Telling: the live line and the record, as often as it is worth its work.

use super::machine::State;
use super::notice::Notice;
use super::{Supervisor, timers};
use std::time::Instant;

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
        if self.record.state != word(self.machine.state()) || now >= self.next_record {
            self.publish();
        } else if !self.record_waits {
            self.record_waits = true;
            let left = self.next_record - now;
            timers::once(left, Notice::RecordIsDue, self.sender.clone());
        }
    }

    /// Brings the record up to date and writes it.
    pub(super) fn publish(&mut self) {
        let begin = Instant::now();
        self.unpublished = false;
        self.record.state = word(self.machine.state());
        if let Some(reason) = self.machine.reason() {
            self.record.reason = Some(reason.to_owned());
        }
        let missing = self.machine.missing_engines();
        let expected = usize::try_from(self.plan.engines).unwrap_or(usize::MAX);
        self.record.engines.registered =
            u32::try_from(expected.saturating_sub(missing.len())).unwrap_or(u32::MAX);
        self.record.engines.missing = missing;
        self.write_record();
        self.next_record = Instant::now() + begin.elapsed() * RECORDS_PART;
    }

    fn write_record(&mut self) {
        if !self.is_ours() {
            return;
        }
        let ours = || self.ownership.successor().is_none();
        let written = match self.machine.state() {
            State::Ended => self.writer.last(&mut self.record, ours),
            _ => self.writer.write(&mut self.record, ours),
        };
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
