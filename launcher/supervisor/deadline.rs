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
    /// What squeue said: `1763800460 1763800160 5:00`, end and start in seconds since 1970 and the limit; nothing when it
    /// failed.
    pub(super) fn job_ends(&mut self, answer: Option<&str>) -> Option<Event> {
        // A job without a limit has an end a year ahead all the same.
        let limited = answer.filter(|line| !line.contains("UNLIMITED"));
        let mut words = limited.unwrap_or_default().split_whitespace();
        let mut seconds = || words.next()?.parse::<i64>().ok();
        let (Some(end), start) = (seconds(), seconds()) else {
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
