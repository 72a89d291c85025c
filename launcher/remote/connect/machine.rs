//! Decides what connect does: one event in, effects out. PURE: no clock, file, process or socket.
//!
//! The rules that the tests hold it to:
//! - one login at a time, and after the first none that asks for a secret
//! - a refused login is the end, a lost connection never is
//! - local ports are chosen once; a later life of the job gets the same, and is announced
//! - a record that says `ended` counts only once Slurm, where there is one, says the same
//! - whoever asks for the end gets it at once, with exit code 0

mod job;
mod ways;

use super::endpoints::Reach;
use super::event::{DeadEnd, Effect, Event, Level, Queued, Seen, Timer, Way, Words};
use super::ssh_errors;
use crate::failure::{Failure, Kind};
use crate::remote::ssh;
use core::time::Duration;

/// The first pause before another login, and the longest: it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The ssh to HOST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// It is being made; so many tries before this one have failed.
    Opening { tries: u32 },
    /// The remote end tells. So many tries in a row have not led to the job: what opens and then ends is no success.
    Open { tries: u32 },
    /// It was lost; a timer runs.
    Lost { tries: u32 },
}

/// The tunnel to one life of the job.
#[derive(Clone, Debug, PartialEq)]
struct Bridge {
    reach: Reach,
    way: Way,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The forwards are being made.
    Making,
    /// It is looked whether a service answers.
    Trying,
    /// It can be used.
    Up,
    /// It could not be made; a timer runs.
    Waiting,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    /// What people know the job by: `123 on daint`.
    job: String,
    host: Option<String>,
    /// The way that was chosen; without one they are tried in order.
    chosen: Option<Way>,
    /// The way that has led to the job before.
    proven: Option<Way>,
    link: Link,
    seen: Option<Seen>,
    stale: Option<u64>,
    queued: Option<Queued>,
    /// The life whose last words have been waited for.
    waited_for: Option<String>,
    bridge: Option<Bridge>,
    /// Why a way did not lead to the job, in order.
    dead_ends: Vec<DeadEnd>,
    /// What was announced last.
    announced: Option<Reach>,
    lost_before: bool,
    told: Option<String>,
    /// Why the job, which was used, is not found at the moment.
    doubt: Option<String>,
}

impl Machine {
    /// The machine for a job on a host, by one way or all.
    #[must_use]
    pub fn new(job: String, host: Option<String>, chosen: Option<Way>) -> Self {
        Self {
            job,
            host,
            chosen,
            proven: None,
            link: Link::Opening { tries: 0 },
            seen: None,
            stale: None,
            queued: None,
            waited_for: None,
            bridge: None,
            dead_ends: Vec::new(),
            announced: None,
            lost_before: false,
            told: None,
            doubt: None,
        }
    }

    /// Takes one event and tells what is to be done.
    pub fn on(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Begin => vec![Effect::OpenLink { may_ask: true }],
            Event::Opened => self.opened(),
            Event::Absent => {
                self.seen = None;
                self.look()
            }
            Event::Seen(seen) => {
                self.stale = None;
                self.doubt = None;
                self.seen = Some(*seen);
                self.look()
            }
            Event::Stale(age) => {
                self.stale = Some(age);
                self.look()
            }
            Event::Queued(queued) => {
                self.queued = Some(queued);
                self.look()
            }
            Event::Unusable(failure) if self.announced.is_some() => {
                self.progress(failure.to_string())
            }
            Event::Refused(failure) if self.announced.is_some() => {
                self.doubted(failure.to_string())
            }
            Event::Refused(failure) | Event::Unusable(failure) | Event::Local(failure) => {
                vec![Effect::Finish(Err(failure))]
            }
            Event::LinkEnded(words) => self.link_ended(&words),
            Event::Bridged(result) => self.bridged(result),
            Event::BridgeEnded(words) => self.bridge_ended(&words),
            Event::Tried(result) => self.tried(result),
            Event::StopAsked(_) => vec![Effect::Finish(Ok(()))],
            Event::TimeUp(Timer::Login) => self.log_in_again(),
            Event::TimeUp(Timer::Bridge) => self.bridge_again(),
            Event::TimeUp(Timer::LastWords) => self.last_words_are_over(),
            Event::TimeUp(Timer::Doubt) => self.doubt_is_over(),
        }
    }

    fn opened(&mut self) -> Vec<Effect> {
        let (Link::Opening { tries } | Link::Open { tries } | Link::Lost { tries }) = self.link;
        self.link = Link::Open { tries };
        // What was known may have changed meanwhile; the remote end tells all of it anew.
        self.seen = None;
        self.queued = None;
        self.stale = None;
        Vec::new()
    }

    fn link_ended(&mut self, words: &Words) -> Vec<Effect> {
        let host = self
            .host
            .clone()
            .unwrap_or_else(|| "this machine".to_owned());
        let (tries, refused) = match self.link {
            Link::Opening { tries: 0 } => {
                return vec![Effect::Finish(Err(self.cannot_log_in(words)))];
            }
            Link::Opening { tries } => (tries, true),
            Link::Open { tries } => (tries, false),
            Link::Lost { .. } => return Vec::new(),
        };
        if refused && !ssh_errors::may_pass(ssh_errors::of(words)) {
            let mut failure = self.cannot_log_in(words);
            failure.message =
                format!("the connection to {host} was lost, and ssh cannot log in again by itself");
            let failure = failure
                .hint("run the same `ipjob connect` again, so that ssh can ask you; the job is not affected")
                .hint("ipjob does not keep trying, because sites block hosts that fail too often");
            return vec![Effect::Finish(Err(failure))];
        }
        self.link = Link::Lost { tries };
        self.doubt = None;
        let mut effects = self.take_down();
        if tries == 0 {
            self.lost_before = true;
            self.told = None;
            let why = words
                .lines
                .last()
                .map_or_else(String::new, |line| format!(" ({line})"));
            effects.push(Effect::Say(
                Level::Warning,
                format!("the connection to {host} was lost{why}: trying again, with pauses of up to {} s", LONGEST_PAUSE.as_secs()),
            ));
        }
        effects.push(Effect::SetTimer(Timer::Login, pause(tries)));
        effects
    }

    /// The failure of the ssh to HOST, or of the shell that looks on this machine.
    fn cannot_log_in(&self, words: &Words) -> Failure {
        let text = words.lines.join("\n");
        match &self.host {
            Some(host) if words.code.is_none_or(|code| code == ssh::FAILED) => ssh::failed(host, &text),
            host => Failure::new(
                if host.is_some() { Kind::Ssh } else { Kind::Missing },
                format!("the shell on {} ended early", host.as_deref().unwrap_or("this machine")),
            )
            .because(ssh_errors::last_words(words))
            .hint("a start-up file of the login shell there may end it; `ssh HOST true` must print nothing and succeed"),
        }
    }

    /// Jobs are told apart from now on by this name.
    pub fn call(&mut self, job: &str) {
        self.job = match &self.host {
            Some(host) => format!("{job} on {host}"),
            None => job.to_owned(),
        };
    }

    fn is_open(&self) -> bool {
        matches!(self.link, Link::Open { .. })
    }

    fn log_in_again(&mut self) -> Vec<Effect> {
        let Link::Lost { tries } = self.link else {
            return Vec::new();
        };
        self.link = Link::Opening { tries: tries + 1 };
        vec![Effect::OpenLink { may_ask: false }]
    }

    /// The end of the whole, because the job is none that can be reached.
    fn no_job(message: String) -> Failure {
        Failure::new(Kind::NoJob, message)
    }

    /// A line of progress, once.
    fn progress(&mut self, text: String) -> Vec<Effect> {
        if self.told.as_ref() == Some(&text) {
            return Vec::new();
        }
        self.told = Some(text.clone());
        vec![Effect::Progress(text)]
    }
}

/// The pause before the next login.
fn pause(tries: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << tries.min(10))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
