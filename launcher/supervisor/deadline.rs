//! When the job's time ends: asked of Slurm at the start, every ten minutes, because it can be moved (`scontrol update`), and
//! once more where that decides what is done: before the end that is known, and when a signal may be Slurm's word for it.

use super::event::{Event, Timer};
use super::machine::State;
use super::notice::{Notice, Sender};
use super::{Supervisor, query};
use crate::here::programs;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Between two questions: more would burden a controller that serves thousands of jobs.
const PERIOD: Duration = Duration::from_secs(600);

/// What squeue prints of the job: its state, the reason of that, end, start and limit.
const FORMAT: &str = "%T %r %e %S %l";

/// Asks at once and then every ten minutes.
pub fn watch(job: String, sender: Sender) {
    tokio::spawn(async move {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !sender.is_closed() {
            ticks.tick().await;
            ask(&job, sender.clone());
        }
    });
}

/// Asks once; the answer is a notice.
fn ask(job: &str, sender: Sender) {
    let Ok(squeue) = programs::find("squeue", "Slurm's client programs") else {
        let _ = sender.send(Notice::JobEnds(None));
        return;
    };
    let args = ["--noheader", "--jobs", job, "--format", FORMAT].map(str::to_owned);
    // Without it squeue prints local time without a zone.
    let variables = vec![("SLURM_TIME_FORMAT".to_owned(), "%s".to_owned())];
    query::ask(squeue, args.to_vec(), variables, Notice::JobEnds, sender);
}

/// What squeue tells of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The job has until then, in seconds since 1970, and begun at the other.
    Ends(i64, Option<i64>),
    /// The time is over: Slurm takes the job down.
    Over,
    /// There is no limit, or somebody ends the job, and the end is that moment.
    Nothing,
}

/// Reads `RUNNING None 1763800460 1763800160 5:00`; `None` for what is no answer.
fn read(line: &str) -> Option<Told> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [state, reason, end, start, limit] = words[..] else {
        return None;
    };
    if reason == "TimeLimit" {
        return Some(Told::Over);
    }
    // A job without a limit has an end a year ahead all the same.
    if state == "COMPLETING" || limit == "UNLIMITED" {
        return Some(Told::Nothing);
    }
    Some(match end.parse() {
        Ok(end) => Told::Ends(end, start.parse().ok()),
        Err(_) => Told::Nothing,
    })
}

impl Supervisor<'_> {
    /// Asks for the end once more where the next step depends on it: at the last moment at which a longer time can still be heard
    /// of, and when a signal asks for the stop, which goes on meanwhile.
    pub(super) fn ask_for_the_end(&self, cause: &Notice) {
        let decides = match cause {
            Notice::Event(Event::TimeUp(Timer::Near { .. })) => true,
            Notice::StopRequested { personal, .. } => !personal && self.first_request.is_none(),
            _ => false,
        };
        if let (true, false, Some(job)) = (decides, self.stops(), &self.plan.allocation.job) {
            ask(job, self.sender.clone());
        }
    }

    /// Whether the job is being taken down.
    fn stops(&self) -> bool {
        matches!(self.machine.state(), State::Stopping | State::Ended)
    }

    /// What squeue said; nothing when it failed.
    pub(super) fn job_ends(&mut self, answer: Option<&str>) -> Option<Event> {
        let Some(told) = answer.and_then(read) else {
            if !self.slurm_is_silent && !self.stops() {
                self.slurm_is_silent = true;
                let text = "squeue does not answer: the job goes on, and its time limit is asked for again";
                self.console.warning(text);
                self.record.warn(text.to_owned());
                self.publish();
            }
            return None;
        };
        self.slurm_is_silent = false;
        let (end, start) = match told {
            Told::Ends(end, start) => (end, start),
            Told::Over => {
                return Some(Event::TimeLeft {
                    left: Duration::ZERO,
                    limit: Duration::ZERO,
                });
            }
            Told::Nothing => return None,
        };
        let deadline = Timestamp::from_second(end).ok()?;
        let text = deadline.to_string();
        if !self.record.set_deadline(&text) {
            return None;
        }
        self.console.step(&format!("the job's time ends at {text}"));
        let now = Timestamp::now().as_second();
        let until_end = |from: i64| Duration::from_secs(u64::try_from(end - from).unwrap_or(0));
        Some(Event::TimeLeft {
            left: until_end(now),
            limit: until_end(start.unwrap_or(now)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_job_that_nobody_ends_tells_its_own_end() {
        let ends = Told::Ends(1_763_800_460, Some(1_763_800_160));
        for (line, told) in [
            ("RUNNING None 1763800460 1763800160 5:00", Some(ends)),
            (
                "RUNNING None 1795000000 1763800160 UNLIMITED",
                Some(Told::Nothing),
            ),
            // As after a scancel.
            (
                "COMPLETING None 1763800200 1763800160 5:00",
                Some(Told::Nothing),
            ),
            (
                "COMPLETING TimeLimit 1763800200 1763800160 5:00",
                Some(Told::Over),
            ),
            ("RUNNING None N/A N/A 5:00", Some(Told::Nothing)),
            ("slurm_load_jobs error: Invalid job id specified", None),
            ("", None),
        ] {
            assert_eq!(read(line), told, "{line}");
        }
    }
}
