//! When the job's time ends: asked of Slurm at the start, every ten minutes, because it can be moved (`scontrol update`), and
//! once more where that decides what is done: before the end that is known, and when a signal may be Slurm's word for it.
//!
//! docs/design/time.md explains the design.

use super::event::{Event, Taken, Timer};
use super::machine::State;
use super::notice::{Notice, Sender};
use super::{REPEAT_PAUSE, Supervisor, file_thread, query};
use crate::here::os::own_time::OwnTime;
use crate::here::site::programs;
use crate::plan::job::JobId;
use crate::plan::slurm::Config;
use jiff::Timestamp;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// Between two questions: more would burden a controller that serves thousands of jobs.
const PERIOD: Duration = Duration::from_secs(600);

/// What squeue prints of the job: its number and name, its state, the reason of that, end, start and limit.
const FORMAT: &str = "%A %i %T %r %e %S %l";

/// Asks at once and then every ten minutes.
pub fn watch(job: JobId, sender: Sender) {
    file_thread::spawn(async move {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !sender.is_closed() {
            ticks.tick().await;
            ask(&job, sender.clone());
        }
    });
}

/// Asks once; the answer is a notice.
fn ask(job: &JobId, sender: Sender) {
    // PATH may have places that do not answer.
    let job = job.clone();
    file_thread::spawn(async move { find_and_ask(&job, sender) });
}

fn find_and_ask(job: &JobId, sender: Sender) {
    let Ok(squeue) = programs::find_slurms("squeue") else {
        let _ = sender.send(Notice::JobEnds(None));
        return;
    };
    let args = ["--noheader", "--jobs", job.name(), "--format", FORMAT].map(str::to_owned);
    // Without it squeue prints local time without a zone.
    let variables = vec![("SLURM_TIME_FORMAT".to_owned(), "%s".to_owned())];
    let number = job.number().to_owned();
    let notice = move |text: &str| Notice::JobEnds(own_line(&number, text));
    query::ask(squeue, args.to_vec(), variables, notice, sender);
}

/// The rest of the line that begins with the job's number: of a heterogeneous job squeue prints one for each component.
fn own_line(number: &str, text: &str) -> Option<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter_map(|line| line.split_once(' '))
        .find(|(first, _)| *first == number)
        .map(|(_, rest)| rest.to_owned())
}

/// The time of day as it was when Slurm answered first, and has gone on since. The clock may be set meanwhile, by hours, and a job must
/// neither end early nor late for that. At that moment it was right: Slurm's words to each other carry the time, and are refused when they
/// are 5 minutes off.
#[derive(Debug, Default)]
struct Steady {
    begun: Option<(Instant, Timestamp)>,
}

impl Steady {
    fn now(&mut self) -> Timestamp {
        let begun = || (Instant::now(), Timestamp::now());
        let (at, then) = *self.begun.get_or_insert_with(begun);
        then.saturating_add(at.elapsed()).unwrap_or(then)
    }
}

/// How Slurm is to a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Slurm {
    #[default]
    Answers,
    /// It did not answer last time, which is said once.
    Silent,
    /// It ends the job: it asks and kills the tasks itself.
    Ends,
}

/// What is known of the job's end as Slurm and signals tell it.
#[derive(Debug, Default)]
pub(super) struct JobClock {
    /// The time of day for what Slurm tells.
    steady: Steady,
    /// How Slurm was found last.
    slurm: Slurm,
    /// When the end was first asked for by a signal: on our own clock, and on the world's, by which Slurm counts while we stand still.
    first_request: Option<(OwnTime, Instant)>,
}

impl JobClock {
    /// A signal asks for the end: whether it insists, as a repeated one that is meant does.
    pub fn asked(&mut self, personal: bool) -> bool {
        let insists = self
            .first_request
            .is_some_and(|(first, _)| personal || first.elapsed() >= REPEAT_PAUSE);
        let now = || (OwnTime::now(), Instant::now());
        self.first_request.get_or_insert_with(now);
        insists
    }

    /// How long ago in the world a signal first asked for the end.
    pub fn since_request(&self) -> Option<Duration> {
        self.first_request.map(|(_, at)| at.elapsed())
    }

    /// Slurm does not answer: whether that is new.
    fn falls_silent(&mut self) -> bool {
        let new = self.slurm == Slurm::Answers;
        if new {
            self.slurm = Slurm::Silent;
        }
        new
    }

    /// Slurm answers.
    fn answers(&mut self) {
        if self.slurm == Slurm::Silent {
            self.slurm = Slurm::Answers;
        }
    }

    /// Slurm ends the job: whether that is new.
    pub fn slurm_ends(&mut self) -> bool {
        std::mem::replace(&mut self.slurm, Slurm::Ends) != Slurm::Ends
    }

    /// Whether Slurm ends the job.
    pub fn slurm_is_ending(&self) -> bool {
        self.slurm == Slurm::Ends
    }
}

/// What squeue tells of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// When the job began and will end.
    Ends(Times),
    /// The time is over: Slurm takes the job down.
    Over,
    /// Slurm takes the job down for another reason, and the end that it tells is that moment.
    Cancelled,
    /// There is no limit.
    Unlimited,
    /// Nothing of the end.
    Nothing,
}

impl Told {
    /// Reads `RUNNING None 1763800460 1763800160 5:00`; `None` for what is no answer.
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [state, reason, end, start, limit] = words[..] else {
            return None;
        };
        if reason == "TimeLimit" {
            return Some(Self::Over);
        }
        if matches!(state, "COMPLETING" | "CANCELLED") {
            return Some(Self::Cancelled);
        }
        // A job without a limit has an end a year ahead all the same.
        if limit == "UNLIMITED" {
            return Some(Self::Unlimited);
        }
        Some(Times::read(end, start).map_or(Self::Nothing, Self::Ends))
    }
}

impl Taken {
    /// Reads `COMPLETING N/A`, `RUNNING 1763800460`. Whom Slurm signals hears of the job's end by that signal, and who sent it.
    fn read(line: &str, signalled: bool) -> Self {
        let time = line.split_ascii_whitespace().nth(1).unwrap_or_default();
        if !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()) {
            Self::ForAnother
        } else if is_over(line) && !signalled {
            Self::ForGood
        } else {
            Self::Not
        }
    }
}

/// When a job began and will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    end: Timestamp,
    start: Option<Timestamp>,
}

impl Times {
    /// Reads both as seconds since 1970.
    fn read(end: &str, start: &str) -> Option<Self> {
        let time = |word: &str| Timestamp::from_second(word.parse().ok()?).ok();
        Some(Self {
            end: time(end)?,
            start: time(start),
        })
    }

    fn left(self, now: Timestamp) -> Event {
        let until_end = |from: Timestamp| {
            Duration::try_from(self.end.duration_since(from)).unwrap_or(Duration::ZERO)
        };
        Event::TimeLeft {
            left: until_end(now),
            limit: until_end(self.start.unwrap_or(now)),
        }
    }
}

impl Supervisor<'_> {
    /// Asks for the end once more where the next step depends on it: at the last moment at which a longer time can still be heard
    /// of, and at the first signal that asks for the stop, which goes on meanwhile or had begun by itself: it may be Slurm's, whose kill
    /// follows.
    pub(super) fn ask_for_the_end(&self, cause: &Notice) {
        let decides = match cause {
            Notice::Event(Event::TimeUp(Timer::Near { .. })) => !self.stops(),
            Notice::StopRequested { personal, .. } => {
                !personal && self.clock.since_request().is_none()
            }
            _ => false,
        };
        if let (true, Some(job)) = (decides, &self.plan.allocation.job) {
            ask(job, self.sender.clone());
        }
    }

    /// Asks whether Slurm takes the job's nodes for another one, or ends it by a signal that does not reach us.
    pub(super) fn ask_for_preemption(&self) {
        let signalled = self.publisher.record().job.signal_to.as_ref().is_some();
        let answer = move |number: &str, text: &str| {
            let line = own_line(number, text).unwrap_or_default();
            Notice::Event(Event::Taken(Taken::read(&line, signalled)))
        };
        let (job, sender) = (self.plan.allocation.job.clone(), self.sender.clone());
        file_thread::spawn(async move {
            let squeue = programs::find_slurms("squeue").ok();
            let (Some(job), Some(squeue)) = (job, squeue) else {
                let _ = sender.send(answer("", ""));
                return;
            };
            let format = "--Format=JobID:20,State:20,PreemptTime:30";
            // One in which nothing runs any more has ended before the answer; squeue tells of it for a while, if asked for all states.
            let args = ["--noheader", "--states=all", "--jobs", job.name(), format];
            let args = args.map(str::to_owned);
            let variables = vec![("SLURM_TIME_FORMAT".to_owned(), "%s".to_owned())];
            let answer = move |text: &str| answer(job.number(), text);
            query::ask(squeue, args.to_vec(), variables, answer, sender);
        });
    }

    /// Whether the job is being taken down.
    pub(super) fn stops(&self) -> bool {
        matches!(self.machine.state(), State::Stopping | State::Ended)
    }

    /// What squeue said; nothing when it failed.
    pub(super) fn job_ends(&mut self, answer: Option<&str>) -> Option<Event> {
        let (shown, words) = answer
            .and_then(|line| line.split_once(' '))
            .unwrap_or_default();
        if self.stops() && is_ending(words) {
            self.slurm_ends();
        }
        if let Some(job) = &self.plan.allocation.job
            && let Some(named) = JobId::shown(job.number(), shown)
        {
            self.publisher.edit().set_job_name(named.name());
        }
        let Some(told) = Told::read(words) else {
            if !self.stops() && self.clock.falls_silent() {
                let text = "squeue does not answer: the job keeps running, and ipjob will ask for its time limit again";
                self.console.warning(text);
                self.publisher.edit().warn(text.to_owned());
            }
            return None;
        };
        self.clock.answers();
        let times = match told {
            Told::Ends(times) => times,
            Told::Over => {
                return Some(Event::TimeLeft {
                    left: Duration::ZERO,
                    limit: Duration::ZERO,
                });
            }
            Told::Cancelled => return Some(Event::Cancelled),
            Told::Unlimited => {
                let known = self.publisher.edit().set_deadline(None);
                if known {
                    self.console.step("the job no longer has a time limit");
                }
                return known.then_some(Event::NoTimeLimit);
            }
            Told::Nothing => return None,
        };
        let text = times.end.to_string();
        if !self.publisher.edit().set_deadline(Some(times.end)) {
            return None;
        }
        self.console.step(&format!("the job's time ends at {text}"));
        Some(times.left(self.clock.steady.now()))
    }
}

/// How long Slurm's configuration is waited for while the job stops.
const LIMIT: Duration = Duration::from_secs(10);

/// So long before Slurm kills what is left, ipjob does: it has a record to write and files to remove.
const RESERVE: Duration = Duration::from_secs(2);

/// Whether such a line tells of a job that Slurm is ending.
fn is_ending(line: &str) -> bool {
    line.split_ascii_whitespace().next() == Some("COMPLETING")
}

/// The states of a job that Slurm is ending or has ended, and of one that it has put back into its queue.
const OVER: [&str; 12] = [
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "COMPLETING",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PENDING",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
];

/// Whether such a line tells of a job whose tasks Slurm has ended, or is ending.
fn is_over(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    words.next().is_some_and(|state| OVER.contains(&state))
}

/// How long Slurm waits between its signal to a job that it ends and the kill (KillWait): asked once it ends this one.
impl Supervisor<'_> {
    /// Slurm is ending the job: it is asked how long it waits before it kills.
    pub(super) fn slurm_ends(&mut self) {
        if !self.clock.slurm_ends() {
            return;
        }
        let sender = self.sender.clone();
        file_thread::spawn(async move {
            let Ok(scontrol) = programs::find("scontrol", "Slurm's client programs") else {
                return;
            };
            let args = ["show", "config"].map(str::to_owned).to_vec();
            let config = query::output(scontrol, args, Vec::new(), LIMIT).await;
            let wait = config.and_then(|text| Config::read(&text)?.kill_wait());
            if let Some(wait) = wait {
                let _ = sender.send(Notice::KillWait(wait));
            }
        });
    }

    /// So long after its signal Slurm kills the job: before that everything must have ended and the record be written.
    pub(super) fn slurm_kills_after(&self, wait: Duration) -> Event {
        let gone = self.clock.since_request();
        let reserve = RESERVE.min(wait / 4);
        Event::SlurmKillsIn(wait.saturating_sub(reserve + gone.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_job_that_nobody_ends_tells_its_own_end() {
        let second = |second| Timestamp::from_second(second).expect("a time");
        let ends = Told::Ends(Times {
            end: second(1_763_800_460),
            start: Some(second(1_763_800_160)),
        });
        for (line, told) in [
            ("RUNNING None 1763800460 1763800160 5:00", Some(ends)),
            (
                "RUNNING None 1795000000 1763800160 UNLIMITED",
                Some(Told::Unlimited),
            ),
            // As after a scancel.
            (
                "COMPLETING None 1763800200 1763800160 5:00",
                Some(Told::Cancelled),
            ),
            (
                "COMPLETING TimeLimit 1763800200 1763800160 5:00",
                Some(Told::Over),
            ),
            ("RUNNING None N/A N/A 5:00", Some(Told::Nothing)),
            ("slurm_load_jobs error: Invalid job id specified", None),
            ("", None),
        ] {
            assert_eq!(Told::read(line), told, "{line}");
        }
    }

    #[test]
    fn whom_slurm_signals_waits_for_that_and_others_hear_of_the_end_at_once() {
        for (line, signalled, wanted) in [
            ("COMPLETING          N/A", false, Taken::ForGood),
            ("CANCELLED           N/A", false, Taken::ForGood),
            ("SUSPENDED           N/A", false, Taken::Not),
            ("COMPLETING          N/A", true, Taken::Not),
            ("RUNNING             N/A", false, Taken::Not),
            ("RUNNING             1763800460", false, Taken::ForAnother),
            ("COMPLETING          1763800460", false, Taken::ForAnother),
            ("", false, Taken::Not),
        ] {
            assert_eq!(Taken::read(line, signalled), wanted, "{line}");
        }
    }
}

#[cfg(test)]
mod fuzz {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_read_as_squeue_tells_them(end in 0..4_000_000_000_i64, length in 0..1_000_000_i64, limit in "[0-9:-]{1,9}") {
            let begin = end.saturating_sub(length);
            let told = Told::read(&format!("RUNNING None {end} {begin} {limit}"));
            let Some(Told::Ends(times)) = told else {
                panic!("{told:?}");
            };
            prop_assert_eq!(times.end.as_second(), end);
            let left = times.left(Timestamp::UNIX_EPOCH);
            let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
            prop_assert_eq!(left, Event::TimeLeft { left: seconds(end), limit: seconds(end - begin) });
        }

        #[test]
        fn no_answer_makes_it_panic(end in any::<i64>(), begin in any::<i64>(), words in "\\PC{0,20}") {
            for line in [words.clone(), format!("RUNNING None {end} {begin} 1:00"), format!("RUNNING None {end} {words} 1")] {
                if let Some(Told::Ends(times)) = Told::read(&line) {
                    let _ = times.left(Timestamp::now());
                }
            }
        }
    }
}
