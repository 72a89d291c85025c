//! The end of the job's time. PURE: how much is left comes in as an event.
//!
//! docs/design/time.md explains the design.

use super::{Effect, End, Machine, Phase, Timer, step_line, warning};
use crate::failure::Kind;
use core::time::Duration;

/// Minutes before the end at which a person is warned.
const WARNINGS: [u32; 3] = [10, 5, 1];

/// How long before the end Slurm's signal comes, as `sbatch --signal` has it by default and the templates say it. Slurm tells nobody
/// what a job asked for.
const SIGNAL_BEFORE: Duration = Duration::from_secs(60);

/// Slurm looks at time limits every 30 s, so `--signal=B:TERM@60` comes up to that much early.
const SIGNAL_SPREAD: Duration = Duration::from_secs(35);

/// The signals that Slurm or the kernel may send because the time is over.
const WARNING_SIGNALS: [&str; 4] = ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGXCPU"];

/// What is known of the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadline {
    /// How long before the end the stop begins, where it was asked for.
    pub stop_before: Option<Duration>,
    /// Which telling of the end the running timers belong to: it can be moved.
    telling: u32,
    /// Whether the end is so near that such a signal is Slurm's word for it.
    near: bool,
    /// The signal that began the stop, where it may have come for the time limit and was not taken for that.
    signal: Option<String>,
    /// What a stop is that was taken for the time limit's by its signal alone, if Slurm says otherwise.
    pub otherwise: Option<End>,
}

impl Machine {
    /// So much time is left of so much in all.
    pub(super) fn time_left(&mut self, left: Duration, limit: Duration, out: &mut Vec<Effect>) {
        self.deadline.telling += 1;
        self.deadline.near = false;
        let telling = self.deadline.telling;
        let stop_before = self.stop_before(limit);
        for minutes in WARNINGS {
            let before = Duration::from_secs(u64::from(minutes) * 60);
            // Not in the first moment of a job whose whole time is no more than that.
            if let Some(after) = left.checked_sub(before)
                && before > stop_before
                && before < limit
            {
                out.push(Effect::SetTimer(Timer::Warn { telling, minutes }, after));
            }
        }
        out.push(Effect::SetTimer(
            Timer::Near { telling },
            left.saturating_sub(signals_within(stop_before)),
        ));
        out.push(Effect::SetTimer(
            Timer::Deadline { telling },
            left.saturating_sub(stop_before),
        ));
    }

    /// The time has no end any more: the running timers mean nothing.
    pub(super) fn no_time_limit(&mut self) {
        self.deadline.telling += 1;
        self.deadline.near = false;
    }

    /// One of those timers ran out.
    pub(super) fn deadline_timer(&mut self, timer: Timer, out: &mut Vec<Effect>) {
        let current = self.deadline.telling;
        match timer {
            Timer::Warn { telling, minutes } if telling == current => {
                let unit = if minutes == 1 { "minute" } else { "minutes" };
                warning(
                    out,
                    format!(
                        "the job's time ends in {minutes} {unit}; it will be shut down before that"
                    ),
                );
            }
            Timer::Near { telling } if telling == current => self.deadline.near = true,
            Timer::Deadline { telling } if telling == current => {
                self.begin_stop(time_limit(), out);
            }
            _ => {}
        }
    }

    /// So much was left when the stop had begun: a signal that came that near to the end, which may have been moved since it
    /// was asked for, was Slurm's word for it.
    pub(super) fn time_left_in_the_stop(
        &mut self,
        left: Duration,
        limit: Duration,
        out: &mut Vec<Effect>,
    ) {
        let stop_before = self.stop_before(limit);
        let (Phase::Stopping { end, .. } | Phase::LastSweep { end }) = &mut self.phase else {
            return;
        };
        if left <= signals_within(stop_before)
            && let Some(signal) = self.deadline.signal.take()
        {
            *end = time_limit();
            step_line(out, format!("{signal} came for the job's time limit"));
        }
    }

    /// Slurm takes the job down for another reason (scancel, a requeue, preemption), so no signal came for its time limit.
    pub(super) fn cancelled_in_the_stop(&mut self, out: &mut Vec<Effect>) {
        let (Phase::Stopping { end, .. } | Phase::LastSweep { end }) = &mut self.phase else {
            return;
        };
        if let Some(otherwise) = self.deadline.otherwise.take() {
            step_line(
                out,
                format!("{} came because Slurm ends the job", otherwise.reason),
            );
            *end = otherwise;
        }
    }

    /// How long before the end the stop begins.
    fn stop_before(&self, limit: Duration) -> Duration {
        self.deadline
            .stop_before
            .unwrap_or_else(|| default_stop_before(limit))
    }

    /// Somebody asked for the end: near the time limit SIGTERM or its like is Slurm's warning of it.
    pub(super) fn asked_to_stop(&mut self, by: &str, out: &mut Vec<Effect>) {
        let asked = End {
            code: 0,
            reason: by.to_owned(),
            failure: None,
        };
        let may_warn = WARNING_SIGNALS.contains(&by);
        if self.deadline.near && may_warn {
            self.deadline.otherwise = Some(asked);
            self.begin_stop(time_limit(), out);
        } else {
            self.deadline.signal = may_warn.then(|| by.to_owned());
            self.begin_stop(asked, out);
        }
    }
}

/// So much may be left when Slurm's signal comes.
fn signals_within(stop_before: Duration) -> Duration {
    stop_before.max(SIGNAL_BEFORE) + SIGNAL_SPREAD
}

fn time_limit() -> End {
    End {
        code: Kind::TimeLimit as u8,
        reason: "the job's time limit".to_owned(),
        failure: None,
    }
}

/// How long before the end the stop begins by default: 60 s, or a tenth of a short limit.
fn default_stop_before(limit: Duration) -> Duration {
    Duration::from_secs(60).min(limit / 10)
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Phase};
    use super::*;

    /// A machine that a signal has asked to stop, in the sweep that comes last.
    fn asked(by: &str) -> Machine {
        let mut machine = Machine::new(&[], Duration::from_secs(9));
        let _ = machine.on(Event::Begin);
        let _ = machine.on(Event::StopAsked {
            by: by.to_owned(),
            insists: false,
        });
        machine
    }

    fn end_after(mut machine: Machine, left: u64) -> (u8, String) {
        let limit = Duration::from_secs(600);
        let left = Duration::from_secs(left);
        let _ = machine.on(Event::TimeLeft { left, limit });
        ended(&machine)
    }

    fn ended(machine: &Machine) -> (u8, String) {
        match &machine.phase {
            Phase::Stopping { end, .. } | Phase::LastSweep { end } => {
                (end.code, end.reason.clone())
            }
            _ => panic!("it does not stop"),
        }
    }

    #[test]
    fn a_signal_near_an_end_that_is_learnt_of_only_then_was_the_time_limit() {
        let limit = (7, "the job's time limit".to_owned());
        assert_eq!(end_after(asked("SIGTERM"), 90), limit);
        assert_eq!(end_after(asked("SIGUSR1"), 0), limit);
        assert_eq!(
            end_after(asked("SIGTERM"), 500),
            (0, "SIGTERM".to_owned()),
            "the end is far"
        );
        assert_eq!(
            end_after(asked("SIGINT"), 0),
            (0, "SIGINT".to_owned()),
            "a person's"
        );
    }

    /// What a SIGTERM means that comes so many seconds before the end of a job that knew of this limit from its start, and then what
    /// it means when Slurm says that the job was cancelled.
    fn signalled(limit: u64, left: u64) -> [(u8, String); 2] {
        let limit = Duration::from_secs(limit);
        let mut machine = Machine::new(&[], Duration::from_secs(9));
        let _ = machine.on(Event::Begin);
        for effect in machine.on(Event::TimeLeft { left: limit, limit }) {
            if let Effect::SetTimer(timer @ Timer::Near { .. }, after) = effect
                && after <= limit.saturating_sub(Duration::from_secs(left))
            {
                let _ = machine.on(Event::TimeUp(timer));
            }
        }
        let _ = machine.on(Event::StopAsked {
            by: "SIGTERM".to_owned(),
            insists: false,
        });
        let at_once = ended(&machine);
        let _ = machine.on(Event::Cancelled);
        [at_once, ended(&machine)]
    }

    #[test]
    fn a_limit_that_was_lifted_ends_nothing() {
        let mut machine = Machine::new(&[], Duration::from_secs(9));
        let _ = machine.on(Event::Begin);
        let left = Duration::from_secs(600);
        let timers = machine.on(Event::TimeLeft { left, limit: left });
        let _ = machine.on(Event::NoTimeLimit);
        for effect in timers {
            if let Effect::SetTimer(timer, _) = effect {
                assert_eq!(machine.on(Event::TimeUp(timer)), []);
            }
        }
        let _ = machine.on(Event::StopAsked {
            by: "SIGTERM".to_owned(),
            insists: false,
        });
        assert_eq!(ended(&machine), (0, "SIGTERM".to_owned()));
    }

    #[test]
    fn a_signal_is_the_time_limits_whatever_the_limit_unless_the_job_was_cancelled() {
        let sigterm = (0, "SIGTERM".to_owned());
        // `-t 2`, `-t 5`, ten minutes, an hour, a day: `--signal=B:TERM@60` comes 60 to 90 s before.
        for limit in [120, 300, 600, 3600, 86_400] {
            for left in [60, 75, 90] {
                let time_is_up = (7, "the job's time limit".to_owned());
                let expected = [time_is_up, sigterm.clone()];
                assert_eq!(signalled(limit, left), expected, "{limit} {left}");
            }
        }
        for (limit, left) in [(300, 200), (3600, 120)] {
            assert_eq!(signalled(limit, left), [sigterm.clone(), sigterm.clone()]);
        }
        // `scontrol update` from 20 minutes to 3: the new end is heard of only now.
        assert_eq!(end_after(asked("SIGTERM"), 88).0, 7);
    }
}
