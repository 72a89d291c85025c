//! A port of the wiring that somebody else got: everything is taken down, and the start tried again with another. PURE.

use super::{Effect, End, Machine, Phase, Timer, warning};
use crate::failure::Failure;
use crate::plan::service::Name;
use crate::supervisor::event::Event;

impl Machine {
    /// The same, whose start may be tried so often again when a port of its wiring is lost.
    #[must_use]
    pub fn repeating(mut self, repeats: u32) -> Self {
        self.repeats = repeats;
        self
    }

    /// The same, as the next try of a start that `earlier` has taken down.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        self.repeats = earlier.repeats;
        self.deadline = earlier.deadline.clone();
        self
    }

    /// A port of the controller's is somebody else's. It was reserved, so this is rare, and seldom happens again.
    pub(super) fn port_lost(&mut self, failure: Failure, out: &mut Vec<Effect>) {
        if self.repeats == 0 || !self.starting() {
            return self.mend_or_fail(Name::Controller, failure, out);
        }
        self.repeats -= 1;
        self.again = true;
        warning(out, format!("{failure}; starting again with other ports"));
        self.phase = Phase::Stopping {
            end: End {
                code: failure.exit_code(),
                reason: failure.to_string(),
                failure: Some(failure),
            },
            hurry: false,
        };
        self.stop_next(out);
    }

    /// An event while the first try is taken down: what would end the job ends it before the second begins.
    pub(super) fn step_repeating(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::StopAsked { by, .. } => self.asked_to_stop(&by, out),
            Event::Superseded(by) => self.superseded(by, out),
            Event::TimeLeft { left, limit } => self.time_left(left, limit, out),
            Event::TimeUp(
                timer @ (Timer::Warn { .. } | Timer::Near { .. } | Timer::Deadline { .. }),
            ) => self.deadline_timer(timer, out),
            other => self.step_ending(&other, out),
        }
    }
}
