//! What the job's record and Slurm say, and what follows.

use super::{Effect, Level, Machine, Queued, Stage, Timer};
use crate::remote::connect::event::{Phase, Seen};
use core::time::Duration;

/// So long a record that has ended is not believed while Slurm says that the job still runs: its script may go on after ipjob,
/// or a requeue may be about to come.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// So long a job that was used may not be found before that is believed: file servers keep what they know of a name for up to a minute.
const DOUBT: Duration = Duration::from_secs(60);

impl Machine {
    /// Looks at all that is known of the job.
    pub(super) fn look(&mut self) -> Vec<Effect> {
        if !self.is_open() {
            return Vec::new();
        }
        let Some(seen) = self.seen.clone() else {
            return self.without_record();
        };
        if seen.phase == Phase::Ended {
            return self.ended(&seen);
        }
        let gone = match &self.queued {
            Some(queued) => matches!(queued, Queued::Gone(_)) || !seen.scheduled,
            None => !seen.scheduled,
        };
        if let (Some(age), true) = (self.stale, gone) {
            let text = format!(
                "job {} has died: its record was not written for {age} s{}",
                self.job,
                self.in_slurm()
            );
            // A clock that was set makes every record old, until it is written again.
            let by_clock = !matches!(self.queued, Some(Queued::Gone(_)));
            if self.announced.is_some() && by_clock {
                return self.doubted(text);
            }
            return self.over(text);
        }
        match seen.phase {
            Phase::Starting => {
                let wait = match &self.queued {
                    Some(Queued::Waiting(text)) => text.clone(),
                    _ => format!("the job is starting: {}", seen.progress),
                };
                self.progress(wait)
            }
            Phase::Stopping => {
                let reason = seen.reason.as_deref().unwrap_or("no reason given");
                self.progress(format!("the job is stopping: {reason}"))
            }
            Phase::Ready | Phase::Ended => self.ready(&seen),
        }
    }

    /// A job that can be used: the tunnel to this life of it is made, unless it is there.
    fn ready(&mut self, seen: &Seen) -> Vec<Effect> {
        let Some(reach) = &seen.reach else {
            return Vec::new();
        };
        self.waited_for = None;
        match &self.bridge {
            Some(bridge) if bridge.reach == *reach => Vec::new(),
            _ => {
                let mut effects = self.take_down();
                effects.extend(self.build(reach.clone()));
                effects
            }
        }
    }

    fn without_record(&mut self) -> Vec<Effect> {
        match self.queued.clone() {
            None => Vec::new(),
            Some(Queued::Waiting(text)) => self.progress(text),
            Some(Queued::Running(_)) => {
                self.progress("the job is running; its ipjob has not started yet".to_owned())
            }
            Some(Queued::Completing) => {
                self.progress("the job is ending (Slurm's state COMPLETING)".to_owned())
            }
            // Both may be busy at once; only Slurm's word, or that there is no Slurm, is an end.
            Some(Queued::Unknown(words)) => self.progress(format!(
                "no record of job {} found, and Slurm does not answer: {words}",
                self.job
            )),
            Some(Queued::NoSlurm) => {
                let text = format!(
                    "no record of job {} found, and squeue is not available",
                    self.job
                );
                if self.announced.is_some() {
                    return self.doubted(text);
                }
                self.over(text)
            }
            Some(Queued::Gone(_)) => {
                let place = self
                    .host
                    .as_ref()
                    .map_or_else(String::new, |host| format!(" {host}:"));
                let failure = Self::no_job(format!("you have no job {}{}", self.job, self.in_slurm()))
                    .hint(format!("`ipjob status{place}` lists your ipjob jobs"))
                    .hint("it must have been started by ipjob; jobs of another cluster are found only from its own login node");
                if self.announced.is_some() {
                    return self.over(format!("job {} is gone", self.job));
                }
                vec![Effect::Finish(Err(failure))]
            }
        }
    }

    /// The record says that it has ended; Slurm decides whether that is the end of the job.
    fn ended(&mut self, seen: &Seen) -> Vec<Effect> {
        let mut effects = self.take_down();
        let requeued = match self.queued.clone() {
            None if seen.scheduled => return effects,
            None | Some(Queued::Gone(_) | Queued::Unknown(_) | Queued::NoSlurm) => None,
            Some(Queued::Waiting(text)) => Some(text),
            Some(Queued::Running(since)) if since > seen.updated => {
                Some("the job is running again; its ipjob has not started yet".to_owned())
            }
            Some(Queued::Completing) => {
                Some("the job is ending (Slurm's state COMPLETING)".to_owned())
            }
            Some(Queued::Running(_)) => {
                if self.waited_for.as_ref() == Some(&seen.life) {
                    return effects;
                }
                self.waited_for = Some(seen.life.clone());
                effects.push(Effect::SetTimer(Timer::LastWords, LAST_WORDS));
                return effects;
            }
        };
        match requeued {
            Some(text) => effects.extend(self.progress(text)),
            None => effects.extend(self.over(how_it_ended(&self.job, seen))),
        }
        effects
    }

    pub(super) fn last_words_are_over(&mut self) -> Vec<Effect> {
        match self.seen.clone() {
            Some(seen)
                if seen.phase == Phase::Ended
                    && self.waited_for.as_ref() == Some(&seen.life)
                    && matches!(self.queued, Some(Queued::Running(since)) if since <= seen.updated) =>
            {
                self.over(how_it_ended(&self.job, &seen))
            }
            _ => Vec::new(),
        }
    }

    /// A job that was used is not found: one look at a file server that is busy says so as well, so this must stand for a while.
    pub(super) fn doubted(&mut self, text: String) -> Vec<Effect> {
        let begins = self.doubt.replace(text.clone()).is_none();
        let mut effects = self.progress(text);
        if begins {
            effects.push(Effect::SetTimer(Timer::Doubt, DOUBT));
        }
        effects
    }

    pub(super) fn doubt_is_over(&mut self) -> Vec<Effect> {
        match self.doubt.take() {
            Some(text) => self.over(text),
            None => Vec::new(),
        }
    }

    /// The job is over: the end of connect, as asked if the job was used.
    fn over(&mut self, text: String) -> Vec<Effect> {
        if self.announced.is_some() {
            return vec![Effect::Say(Level::Step, text), Effect::Finish(Ok(()))];
        }
        vec![Effect::Finish(Err(Self::no_job(text)))]
    }

    /// The tunnel to a life that has ended goes; its local ports are kept.
    pub(super) fn take_down(&mut self) -> Vec<Effect> {
        match self.bridge.take() {
            Some(bridge) if bridge.stage != Stage::Waiting => vec![Effect::Unbridge(bridge.way)],
            _ => Vec::new(),
        }
    }

    /// What Slurm says, to be added to a sentence.
    fn in_slurm(&self) -> String {
        match &self.queued {
            Some(Queued::Gone(Some(state))) => format!(", and Slurm says {state}"),
            Some(Queued::Gone(None)) => ", and Slurm does not know it".to_owned(),
            _ => String::new(),
        }
    }
}

/// `job 123 has ended: SIGTERM (exit code 0)`.
fn how_it_ended(job: &str, seen: &Seen) -> String {
    let reason = seen.reason.as_deref().unwrap_or("no reason given");
    let code = seen
        .exit
        .map_or_else(String::new, |code| format!(" (exit code {code})"));
    format!("job {job} has ended: {reason}{code}")
}
