//! The end of a job that nobody uses, with `--idle-timeout`. PURE: what was seen, and how long ago it was looked before, comes in
//! as events.
//!
//! docs/design/idle.md explains the design.

use super::{Effect, End, Look, Machine, Timer, step_line, warning};
use crate::plan::idle::gap;
use crate::plan::name::Name;
use core::time::Duration;

/// The warning comes so long before the end at the most; of a short limit it is a tenth.
const LONGEST_NOTICE: Duration = Duration::from_secs(300);

/// What is known of the job's use.
#[derive(Clone, Debug, Default)]
pub(super) struct Idle {
    /// After so long the job ends; `None` never.
    limit: Option<Duration>,
    /// So long nothing was done.
    gone: Duration,
    /// Whether that was said.
    warned: bool,
}

impl Machine {
    /// The same, ending itself when nobody has used it for so long.
    #[must_use]
    pub fn ending_when_idle(mut self, limit: Option<Duration>) -> Self {
        self.idle.limit = limit;
        self
    }

    /// The job is ready: from now on it may be used.
    pub(super) fn begin_to_look(&self, out: &mut Vec<Effect>) {
        if self.idle.limit.is_some() {
            out.push(Effect::Look(Look::Use));
        }
    }

    /// Somebody used the job since the last look.
    pub(super) fn in_use(&mut self, out: &mut Vec<Effect>) {
        let Some(limit) = self.idle.limit else {
            return;
        };
        if self.idle.warned {
            step_line(out, "the job is in use again: it will not end");
        }
        self.idle.gone = Duration::ZERO;
        self.idle.warned = false;
        out.push(Effect::SetTimer(Timer::Look, next_look(limit, limit)));
    }

    /// Nobody did since the last look, which was so long ago.
    pub(super) fn not_in_use(&mut self, since: Duration, out: &mut Vec<Effect>) {
        let Some(limit) = self.idle.limit else {
            return;
        };
        if self.lives(Name::Driver) {
            return self.in_use(out);
        }
        // While ipjob itself was stopped (SIGSTOP, a laptop's lid) nobody could have used the job.
        self.idle.gone += since.min(gap(limit) * 2);
        let left = limit.saturating_sub(self.idle.gone);
        if left.is_zero() {
            let reason = format!(
                "idle for {} (--idle-timeout): no kernel, no engine and no client did anything",
                said(limit)
            );
            let end = End {
                code: 0,
                reason,
                failure: None,
            };
            return self.begin_stop(end, out);
        }
        if left <= notice(limit) && !self.idle.warned {
            self.idle.warned = true;
            warning(
                out,
                format!(
                    "nobody uses the job: it ends in {} unless a kernel, an engine or a client does something (--idle-timeout)",
                    said(left)
                ),
            );
        }
        out.push(Effect::SetTimer(Timer::Look, next_look(limit, left)));
    }
}

/// How long before the end it is warned.
fn notice(limit: Duration) -> Duration {
    (limit / 10).min(LONGEST_NOTICE)
}

/// When it is looked again with so much left: not later than the moment of the warning, or of the end.
fn next_look(limit: Duration, left: Duration) -> Duration {
    let moment = match left.checked_sub(notice(limit)) {
        Some(before) if !before.is_zero() => before,
        _ => left,
    };
    moment.min(gap(limit))
}

/// A time for people: `30 minutes`, `2.5 s`.
fn said(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 120.0 {
        format!("{} s", (seconds * 10.0).round() / 10.0)
    } else {
        format!("{} minutes", (seconds / 60.0).round())
    }
}
