//! How each job is, judged from its record, from Slurm and from the process that the record names. PURE.

use super::find::{Found, Record, Trace};
use super::queue::{Line, Phase, Queue};
use super::sight::Sight;
use super::target;
use crate::failure::{Failure, Outcome};
use jiff::Timestamp;

/// The beginning of the names of jobs from `ipjob template`: one of these without a record is shown as well.
const TEMPLATE_NAME: &str = "ipjob-";

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits in the queue, for the first time or again.
    Pending,
    /// Not every service is ready.
    Starting,
    /// All of it can be used.
    Ready,
    /// It can be used, with fewer engines.
    Degraded,
    /// It is being taken down.
    Stopping,
    /// Nothing runs any more.
    Ended,
    /// Its record does not say that it ended, but nobody is there who would.
    Dead,
    /// There is no telling.
    Unknown,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing more is to be expected of it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Dead)
    }

    fn of(sight: &Sight) -> Self {
        match sight.state.as_deref() {
            Some("starting") => Self::Starting,
            Some("ready") => Self::Ready,
            Some("degraded") => Self::Degraded,
            Some("stopping") => Self::Stopping,
            Some("ended") => Self::Ended,
            _ => Self::Unknown,
        }
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The Slurm cluster; `local` without Slurm, `None` where nothing tells it.
    pub cluster: Option<String>,
    /// The job id; `None` without Slurm.
    pub id: Option<String>,
    /// The profile's name.
    pub profile: Option<String>,
    /// How it is.
    pub state: State,
    /// What explains the state.
    pub note: Option<String>,
    /// Its line in the queue.
    pub line: Option<Line>,
    /// What it left; nothing for a job that has not begun.
    pub trace: Trace,
}

impl Job {
    /// What people call it: its id, or its profile.
    #[must_use]
    pub fn name(&self) -> String {
        let shown = self.line.as_ref().map(|line| line.shown.clone());
        shown
            .or_else(|| self.id.clone())
            .or_else(|| self.profile.clone())
            .unwrap_or_else(|| "?".to_owned())
    }

    /// The record, if it is this job's.
    #[must_use]
    pub fn sight(&self) -> Option<&Sight> {
        let sight = self.trace.sight()?;
        is_of(sight, self.cluster.as_deref(), self.id.as_deref()).then_some(sight)
    }

    /// When its time ends.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let of_record = self.sight().and_then(|sight| sight.deadline);
        let of_queue = || {
            let line = self
                .line
                .as_ref()
                .filter(|line| line.phase() == Phase::Running)?;
            Timestamp::from_second(line.end?).ok()
        };
        of_record
            .or_else(of_queue)
            .filter(|_| !self.state.is_over())
    }
}

/// Whether a record is of this job: a profile may have been used again.
fn is_of(sight: &Sight, cluster: Option<&str>, job: Option<&str>) -> bool {
    sight.cluster.as_deref() == cluster && sight.job.as_deref() == job
}

/// The jobs that are meant; without a name all of them. A named one that is not there is an error.
pub fn chosen(found: &Found, wanted: Option<&target::Job>, place: &str) -> Outcome<Vec<Job>> {
    let mut jobs: Vec<Job> = found
        .traces
        .iter()
        .map(|trace| judge(found, trace))
        .collect();
    let known = |jobs: &[Job], id: &str| {
        jobs.iter()
            .any(|job| job.id.as_deref() == Some(id) && job.cluster == found.cluster)
    };
    for line in found.queue.lines() {
        let named = match wanted {
            Some(target::Job::Id(id)) => line.id == *id,
            Some(target::Job::Element(shown)) => line.shown == *shown,
            Some(target::Job::Profile(_)) => false,
            None => line.name.starts_with(TEMPLATE_NAME) && line.phase() != Phase::Over,
        };
        if named && !known(&jobs, &line.id) {
            jobs.push(unseen(found, line));
        }
    }
    if let Some(wanted) = wanted {
        let id = match wanted {
            target::Job::Element(shown) => found.queue.element(shown).map(|line| line.id.clone()),
            other => Some(other.as_str().to_owned()),
        };
        jobs.retain(|job| match wanted {
            target::Job::Profile(name) => job.profile.as_ref() == Some(name),
            _ => job.id.is_some() && job.id == id,
        });
        if jobs.is_empty() {
            return Err(no_such_job(found, wanted, place));
        }
    }
    jobs.sort_by_key(|job| {
        (
            job.state.is_over(),
            job.id.as_ref().map_or(0, String::len),
            job.id.clone(),
            job.profile.clone(),
        )
    });
    Ok(jobs)
}

fn no_such_job(found: &Found, wanted: &target::Job, place: &str) -> Failure {
    let name = wanted.as_str();
    if let Some(line) = found
        .foreign
        .as_ref()
        .filter(|line| line.user != found.user)
    {
        return Failure::no_job(format!("job {name} is {}'s, not yours", line.user))
            .hint("`ipjob status` lists your own");
    }
    let failure = match wanted {
        target::Job::Profile(_) => Failure::no_job(format!(
            "no job has left a trace of a profile {name:?} on {place}"
        ))
        .hint(format!("if {name} is a host, write `{name}:`")),
        _ => Failure::no_job(format!("there is no job {name} of yours on {place}")),
    };
    let failure = match &found.queue {
        Queue::Silent(words) => failure.because(format!("squeue: {words}")),
        Queue::Absent if !matches!(wanted, target::Job::Profile(_)) => {
            failure.because(format!("there is no squeue on {place}"))
        }
        _ => failure,
    };
    failure.hint("`ipjob status [HOST:]` lists what there is")
}

/// A job that only the queue knows.
fn unseen(found: &Found, line: &Line) -> Job {
    let (state, note) = match line.phase() {
        Phase::Waiting => (State::Pending, waits(line)),
        Phase::Running => (
            State::Starting,
            format!("no record yet; squeue says {}", line.state),
        ),
        Phase::Over => (
            State::Ended,
            format!("it left no record; squeue says {}", line.state),
        ),
    };
    Job {
        cluster: found.cluster.clone(),
        id: Some(line.id.clone()),
        profile: None,
        state,
        note: Some(note),
        line: Some(line.clone()),
        trace: Trace::default(),
    }
}

/// One job by what it left.
fn judge(found: &Found, trace: &Trace) -> Job {
    let sight = trace.sight();
    let (cluster, id, profile) = match trace.told() {
        Some(pointer) => (
            pointer.cluster.clone(),
            pointer.job.clone(),
            pointer.profile.clone(),
        ),
        None => (
            sight.and_then(|sight| sight.cluster.clone()),
            sight.and_then(|sight| sight.job.clone()),
            sight.and_then(|sight| sight.profile.clone()),
        ),
    };
    let own = sight.filter(|sight| is_of(sight, cluster.as_deref(), id.as_deref()));
    let asked = cluster.is_some() && cluster == found.cluster;
    let line = id
        .as_ref()
        .filter(|_| asked)
        .and_then(|id| found.queue.job(id))
        .cloned();
    let (state, note) = match own {
        Some(sight) => with_record(found, trace, sight, line.as_ref(), id.is_some(), asked),
        None => without_record(trace, line.as_ref()),
    };
    Job {
        cluster,
        id,
        profile,
        state,
        note,
        line,
        trace: trace.clone(),
    }
}

/// A job without a record of its own.
fn without_record(trace: &Trace, line: Option<&Line>) -> (State, Option<String>) {
    let fault = match (&trace.record, &trace.pointer) {
        (_, Some(Err(fault))) => Some(format!("its pointer: {fault}")),
        (Record::Garbage(fault), _) => Some(format!("its record: {fault}")),
        (Record::Closed, _) => Some("its record cannot be read".to_owned()),
        (Record::Absent | Record::Seen(_), _) => None,
    };
    let lost = match trace.record {
        Record::Seen(_) => "its record is another job's now: the profile was used again",
        _ => "its record is gone",
    };
    match (line.map(|line| (line, line.phase())), fault) {
        (Some((line, Phase::Waiting)), _) => (State::Pending, Some(waits(line))),
        (_, Some(fault)) => (State::Unknown, Some(fault)),
        (Some((line, Phase::Running)), None) => (
            State::Unknown,
            Some(format!("{lost}; squeue says {}", line.state)),
        ),
        (_, None) => (State::Ended, Some(lost.to_owned())),
    }
}

fn with_record(
    found: &Found,
    trace: &Trace,
    sight: &Sight,
    line: Option<&Line>,
    in_slurm: bool,
    asked: bool,
) -> (State, Option<String>) {
    let squeue = match (in_slurm, asked, line, &found.queue) {
        (false, ..) => None,
        (_, true, Some(line), _) => Some(format!("squeue says {}", line.state)),
        (_, true, None, Queue::Told(_)) => Some("squeue does not know it any more".to_owned()),
        (_, _, _, Queue::Silent(words)) => Some(format!("squeue: {words}")),
        (_, _, _, Queue::Absent) => Some("there is no squeue here".to_owned()),
        (_, false, ..) => Some(format!(
            "squeue of cluster {} was not asked",
            sight.cluster.as_deref().unwrap_or("?")
        )),
    };
    let and_squeue = |text: String| match &squeue {
        Some(squeue) => format!("{text}; {squeue}"),
        None => text,
    };
    if let Some(line) = line.filter(|line| line.phase() == Phase::Waiting) {
        return (State::Pending, Some(format!("requeued; {}", waits(line))));
    }
    if sight.has_ended() {
        let reason = sight
            .reason
            .clone()
            .unwrap_or_else(|| "no reason is told".to_owned());
        let code = sight
            .exit
            .map_or_else(String::new, |code| format!(" (exit code {code})"));
        let still = line.is_some_and(|line| line.phase() == Phase::Running);
        let note = format!("{reason}{code}");
        return (
            State::Ended,
            Some(if still { and_squeue(note) } else { note }),
        );
    }
    let gone = asked
        && matches!(found.queue, Queue::Told(_))
        && line.is_none_or(|line| line.phase() == Phase::Over);
    if in_slurm && gone {
        return (State::Dead, squeue);
    }
    if let Some(fault) = process_fault(found, trace, sight) {
        return (State::Dead, Some(and_squeue(fault)));
    }
    if sight.is_stale(found.now) {
        let age = sight.age_s(found.now).map_or_else(
            || "at no known time".to_owned(),
            |age| format!("{age} s ago"),
        );
        return (
            State::Dead,
            Some(and_squeue(format!("its record was last written {age}"))),
        );
    }
    (State::of(sight), sight.reason.clone())
}

/// Why the process that the record names does not run; `None` if it does, or cannot be seen from there.
fn process_fault(found: &Found, trace: &Trace, sight: &Sight) -> Option<String> {
    let (host, boot, pid) = (sight.life_host.as_ref()?, sight.boot.as_ref()?, sight.pid?);
    if *host != found.host || found.boot.is_empty() || boot.is_empty() {
        return None;
    }
    if *boot != found.boot {
        return Some(format!("{host} was booted anew since"));
    }
    let (named, stat) = trace.process.as_ref()?;
    let runs = crate::here::process::parse_stat(stat)
        .is_some_and(|stat| stat.runs() && Some(stat.start) == sight.pid_start);
    (*named == pid && !runs).then(|| format!("its ipjob (pid {pid} on {host}) is gone"))
}

/// Why a job waits, and until when.
fn waits(line: &Line) -> String {
    let reason = line
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    let start = line
        .start
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    let start = start.map_or_else(String::new, |start| {
        format!(", expected to start at {start}")
    });
    format!("squeue says {}{reason}{start}", line.state)
}

#[cfg(test)]
mod tests;
