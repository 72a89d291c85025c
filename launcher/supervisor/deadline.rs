//! When the job's time ends: asked of Slurm at the start and every ten minutes, because it can be moved (`scontrol update`).

use super::event::Event;
use super::notice::{Notice, Sender};
use super::{Supervisor, query};
use crate::here::programs;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Between two questions: more would burden a controller that serves thousands of jobs.
const PERIOD: Duration = Duration::from_secs(600);

/// Asks at once and then every ten minutes.
pub fn watch(job: String, sender: Sender) {
    let Ok(squeue) = programs::find("squeue", "Slurm's client programs") else {
        let _ = sender.send(Notice::JobEnds(None));
        return;
    };
    tokio::spawn(async move {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !sender.is_closed() {
            ticks.tick().await;
            let args = ["--noheader", "--jobs", &job, "--format", "%e %S %l"].map(str::to_owned);
            // Without it squeue prints local time without a zone.
            let variables = vec![("SLURM_TIME_FORMAT".to_owned(), "%s".to_owned())];
            query::ask(
                squeue.clone(),
                args.to_vec(),
                variables,
                Notice::JobEnds,
                sender.clone(),
            );
        }
    });
}

impl Supervisor<'_> {
    /// What squeue said, in a line; nothing when it failed.
    pub(super) fn job_ends(&mut self, answer: Option<&str>) -> Option<Event> {
        let Some(times) = answer.and_then(Times::read) else {
            if answer.is_none() && !self.slurm_is_silent {
                self.slurm_is_silent = true;
                let text = "squeue does not answer: the job goes on, and its time limit is asked for again";
                self.console.warning(text);
                self.record.warn(text.to_owned());
                self.publish();
            }
            return None;
        };
        self.slurm_is_silent = false;
        let text = times.end.to_string();
        if !self.record.set_deadline(&text) {
            return None;
        }
        self.console.step(&format!("the job's time ends at {text}"));
        Some(times.left(Timestamp::now()))
    }
}

/// When a job began and will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    end: Timestamp,
    start: Option<Timestamp>,
}

impl Times {
    /// Reads `1763800460 1763800160 5:00`: end and start in seconds since 1970 and the limit. `None` for a job without a limit,
    /// which has an end a year ahead all the same.
    fn read(line: &str) -> Option<Self> {
        if line.contains("UNLIMITED") {
            return None;
        }
        let mut words = line.split_whitespace();
        let mut time = || Timestamp::from_second(words.next()?.parse().ok()?).ok();
        Some(Self {
            end: time()?,
            start: time(),
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

#[cfg(test)]
mod fuzz {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_read_as_squeue_tells_them(end in 0..4_000_000_000_i64, length in 0..1_000_000_i64, limit in "[0-9:-]{1,9}") {
            let begin = end.saturating_sub(length);
            let times = Times::read(&format!("{end} {begin} {limit}")).expect("times");
            prop_assert_eq!(times.end.as_second(), end);
            let left = times.left(Timestamp::UNIX_EPOCH);
            let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
            prop_assert_eq!(left, Event::TimeLeft { left: seconds(end), limit: seconds(end - begin) });
        }

        #[test]
        fn no_answer_makes_it_panic(end in any::<i64>(), begin in any::<i64>(), words in "\\PC{0,20}") {
            for line in [words.clone(), format!("{end} {begin}"), format!("{end} {words}")] {
                if let Some(times) = Times::read(&line) {
                    let _ = times.left(Timestamp::now());
                }
            }
        }
    }
}
