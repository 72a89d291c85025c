//! Decides what connect does: one event in, effects out. PURE: no clock, file, process or socket.
//!
//! The rules that the tests hold it to:
//! - one login at a time, and after the first none that asks for a secret
//! - a refused login is the end, a lost connection never is
//! - local ports are chosen once; a later life of the job gets the same, and is announced
//! - a record that says `ended` counts only once Slurm, where there is one, says the same
//! - whoever asks for the end gets it at once, with exit code 0

use super::endpoints::Reach;
use super::event::{DeadEnd, Effect, Event, Level, Phase, Queued, Seen, Timer, Way, Words};
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
    /// Whether the job was submitted or found by its name: then its early end is no job that was not there.
    is_awaited: bool,
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
            is_awaited: false,
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
            Some(host) if words.code.is_none_or(|code| code == ssh::FAILED) => {
                ssh::failed(host, &text)
            }
            host => Failure::new(
                if host.is_some() {
                    Kind::Ssh
                } else {
                    Kind::Missing
                },
                format!(
                    "the shell on {} ended early",
                    host.as_deref().unwrap_or("this machine")
                ),
            )
            .because(ssh_errors::last_words(words))
            .hint(ssh::must_be_silent(host.as_deref())),
        }
    }

    /// Jobs are told apart from now on by this name.
    pub fn call(&mut self, job: &str) {
        self.job = match &self.host {
            Some(host) => format!("{job} on {host}"),
            None => job.to_owned(),
        };
    }

    /// The job is known to be Slurm's.
    pub fn await_it(&mut self) {
        self.is_awaited = true;
    }

    /// Whether the job has a record: `ipjob stop` takes no other job of Slurm for one of ipjob's.
    pub fn has_record(&self) -> bool {
        self.seen.is_some()
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

/// So long a record that has ended is not believed while Slurm says that the job still runs: its script may go on after ipjob,
/// or a requeue may be about to come.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// So long a job that was used may not be found before that is believed: file servers keep what they know of a name for up to a minute.
const DOUBT: Duration = Duration::from_secs(60);

/// What the job's record and Slurm say, and what follows.
impl Machine {
    /// Looks at all that is known of the job.
    fn look(&mut self) -> Vec<Effect> {
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
                if self.is_awaited {
                    let text = format!(
                        "job {} ended before its ipjob started{}",
                        self.job,
                        self.in_slurm()
                    );
                    return self.over(text);
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

    fn last_words_are_over(&mut self) -> Vec<Effect> {
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
    fn doubted(&mut self, text: String) -> Vec<Effect> {
        let begins = self.doubt.replace(text.clone()).is_none();
        let mut effects = self.progress(text);
        if begins {
            effects.push(Effect::SetTimer(Timer::Doubt, DOUBT));
        }
        effects
    }

    fn doubt_is_over(&mut self) -> Vec<Effect> {
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
        let kind = if self.is_awaited {
            Kind::NotReady
        } else {
            Kind::NoJob
        };
        vec![Effect::Finish(Err(Failure::new(kind, text)))]
    }

    /// The tunnel to a life that has ended goes; its local ports are kept.
    fn take_down(&mut self) -> Vec<Effect> {
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

/// Until a job that was reached before is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// The ways to the job's services: which is tried when, and what follows when one leads nowhere.
impl Machine {
    /// Begins the tunnel to a life of the job.
    fn build(&mut self, reach: Reach) -> Vec<Effect> {
        self.dead_ends.clear();
        // From the login node itself no loopback address of a compute node is reached: a failure that needs no try.
        let loopback = reach
            .first()
            .is_some_and(|first| first.address.is_loopback());
        let first = match (self.chosen, self.proven) {
            (Some(chosen), _) => chosen,
            (None, Some(proven)) => proven,
            (None, None) if loopback && !self.has_no_scheduler() => Way::Jump,
            (None, None) => Way::Forward,
        };
        self.go(first, reach)
    }

    /// Whether the job is none of a scheduler: then HOST is the very machine that it runs on.
    fn has_no_scheduler(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.scheduled)
    }

    fn go(&mut self, way: Way, reach: Reach) -> Vec<Effect> {
        self.bridge = Some(Bridge {
            reach: reach.clone(),
            way,
            stage: Stage::Making,
        });
        vec![Effect::Bridge {
            way,
            reach: Box::new(reach),
            may_ask: !self.lost_before,
        }]
    }

    /// What carried the forwards ended by itself.
    fn bridge_ended(&mut self, words: &str) -> Vec<Effect> {
        // Without the ssh to HOST all else ends as well; that is told once.
        if !self.is_open() || self.bridge.is_none() {
            return Vec::new();
        }
        self.leads_nowhere(false, words.to_owned().into())
    }

    fn bridged(&mut self, result: Result<(), DeadEnd>) -> Vec<Effect> {
        match (&mut self.bridge, result) {
            (Some(bridge), Ok(())) if bridge.stage == Stage::Making => {
                bridge.stage = Stage::Trying;
                vec![Effect::Try(Box::new(bridge.reach.clone()))]
            }
            (Some(bridge), Err(end)) if bridge.stage == Stage::Making => {
                self.leads_nowhere(true, end)
            }
            _ => Vec::new(),
        }
    }

    fn tried(&mut self, result: Result<(), DeadEnd>) -> Vec<Effect> {
        let Some(bridge) = &mut self.bridge else {
            return Vec::new();
        };
        if bridge.stage != Stage::Trying {
            return Vec::new();
        }
        if let Err(end) = result {
            return self.leads_nowhere(true, end);
        }
        bridge.stage = Stage::Up;
        let reach = Box::new(bridge.reach.clone());
        self.proven = Some(bridge.way);
        self.link = Link::Open { tries: 0 };
        self.told = None;
        if self.host.is_none() && bridge.way == Way::Forward {
            // Nothing has to be carried, so nothing has to be kept up.
            let again = false;
            return vec![Effect::Announce { reach, again }, Effect::Finish(Ok(()))];
        }
        let mut effects = vec![Effect::Settle(reach.clone())];
        let before = self.announced.replace((*reach).clone());
        if before.is_some() {
            effects.push(Effect::Say(
                Level::Step,
                "connected again, on the same local ports".to_owned(),
            ));
        }
        // A later life has another key and token: the address that was told leads to a login page.
        if before.as_ref() != Some(&reach) {
            let again = before.is_some();
            effects.push(Effect::Announce { reach, again });
        }
        effects
    }

    /// A way that was tried leads nowhere: the next one, or the end.
    fn leads_nowhere(&mut self, made: bool, end: DeadEnd) -> Vec<Effect> {
        let Some(bridge) = &mut self.bridge else {
            return Vec::new();
        };
        let (way, reach) = (bridge.way, bridge.reach.clone());
        let mut effects = Vec::new();
        if made {
            effects.push(Effect::Unbridge(way));
        }
        let from = match way {
            Way::Forward => "from the login node",
            Way::Jump => "through ssh to the node",
            Way::Srun => "through srun",
        };
        let words = end.words;
        self.dead_ends.push(DeadEnd {
            words: format!("{from}: {words}"),
            forbidden: end.forbidden,
        });
        let next =
            (way == Way::Forward && self.chosen.is_none() && self.proven != Some(Way::Forward))
                .then_some(Way::Jump);
        if let Some(next) = next {
            effects.push(Effect::Say(
                Level::Step,
                format!(
                    "{} cannot reach {} ({words}): trying ssh to the node",
                    self.host.as_deref().unwrap_or("this machine"),
                    reach.node
                ),
            ));
            effects.extend(self.go(next, reach));
            return effects;
        }
        if self.announced.is_some() {
            bridge.stage = Stage::Waiting;
            effects.extend(
                self.progress(format!("the job cannot be reached ({words}): trying again")),
            );
            effects.push(Effect::SetTimer(Timer::Bridge, PAUSE));
            return effects;
        }
        effects.push(Effect::Finish(Err(self.no_way(&reach.node))));
        effects
    }

    fn no_way(&self, node: &str) -> Failure {
        let words: Vec<&str> = self
            .dead_ends
            .iter()
            .map(|end| end.words.as_str())
            .collect();
        let mut failure = Failure::new(
            Kind::Ssh,
            format!(
                "job {} cannot be reached: no way leads to its node {node}",
                self.job
            ),
        )
        .because(words.join("; "));
        if self.dead_ends.iter().any(|end| end.forbidden) {
            failure =
                failure.hint("an ssh server on the way forbids forwarding (AllowTcpForwarding)");
        }
        let srun = if self.chosen == Some(Way::Srun) {
            "--via srun needs an ipjob of this version on the cluster: give its path with --remote-ipjob PATH"
        } else {
            "`--via srun` sends the traffic through Slurm itself; it needs ipjob on the cluster"
        };
        failure = failure.hint(srun);
        failure
    }

    fn bridge_again(&mut self) -> Vec<Effect> {
        match self.bridge.take() {
            Some(bridge) if bridge.stage == Stage::Waiting && self.is_open() => {
                self.build(bridge.reach)
            }
            other => {
                self.bridge = other;
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests;
