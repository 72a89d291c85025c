//! The jobs that there are, and which of them a person means. PURE.

use super::find::{Found, Trace};
use super::job_state::{State, waits, with_record, without_record};
use super::queue::{Line, Phase, Queue};
use super::sight::Sight;
use super::target;
use crate::failure::{Failure, Outcome};
use crate::plan::job::JobId;
use crate::plan::profile::ProfileName;
use jiff::Timestamp;

/// The beginning of the names of jobs from `ipjob template`: one of these without a record is shown as well.
const TEMPLATE_NAME: &str = "ipjob-";

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The Slurm cluster; `local` without Slurm, `None` where nothing tells it.
    pub cluster: Option<String>,
    /// The job of Slurm; `None` without it.
    pub id: Option<JobId>,
    /// The profile's name.
    pub profile: Option<ProfileName>,
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
    /// What people call it: its name in Slurm, or its profile.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.id.as_ref().map(|id| id.name().to_owned());
        name.or_else(|| self.profile.as_ref().map(ProfileName::to_string))
            .unwrap_or_else(|| "?".to_owned())
    }

    /// Its number in Slurm.
    fn number(&self) -> Option<&str> {
        self.id.as_ref().map(JobId::number)
    }

    /// The record, if it is this job's.
    #[must_use]
    pub fn sight(&self) -> Option<&Sight> {
        let sight = self.trace.sight()?;
        is_of(sight, self.cluster.as_deref(), self.number()).then_some(sight)
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
    let known = |jobs: &[Job], id: &JobId| {
        jobs.iter()
            .any(|job| job.number() == Some(id.number()) && job.cluster == found.cluster)
    };
    for line in found.queue.lines() {
        let named = match wanted {
            Some(target::Job::Id(id)) => is_meant(&line.job, id),
            Some(target::Job::Element(name)) => line.job.holds(name),
            Some(target::Job::Profile(_)) => false,
            None => line.name.starts_with(TEMPLATE_NAME) && line.phase() != Phase::Over,
        };
        if named && !known(&jobs, &line.job) {
            let id = match wanted {
                // Of several that wait only this one is meant.
                Some(target::Job::Element(name)) => line.job.named(name),
                _ => line.job.clone(),
            };
            jobs.push(unseen(found, line, id));
        }
    }
    if let Some(wanted) = wanted {
        jobs.retain(|job| match wanted {
            target::Job::Profile(name) => job.profile.as_ref() == Some(name),
            target::Job::Id(id) => job.id.as_ref().is_some_and(|job| is_meant(job, id)),
            target::Job::Element(name) => job.id.as_ref().is_some_and(|job| job.holds(name)),
        });
        if jobs.is_empty() {
            return Err(no_such_job(found, wanted, place));
        }
    }
    jobs.sort_by_key(|job| {
        (
            job.state.is_over(),
            job.number().map_or(0, str::len),
            job.number().map(str::to_owned),
            job.profile.clone(),
        )
    });
    Ok(jobs)
}

/// Whether a job may be meant by this number: its own, or that of its array.
fn is_meant(job: &JobId, number: &str) -> bool {
    job.number() == number || job.array() == Some(number)
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
fn unseen(found: &Found, line: &Line, id: JobId) -> Job {
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
        id: Some(id),
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
    // What stands for elements that wait has a number that is none of theirs.
    let line = id
        .as_ref()
        .filter(|_| asked)
        .and_then(|id| found.queue.job(id))
        .filter(|line| !line.job.is_several())
        .cloned();
    let id = id.and_then(|number| {
        let recorded = own.and_then(|sight| sight.job_name.as_deref());
        let told = line.as_ref().map(|line| line.job.clone());
        told.or_else(|| JobId::shown(&number, recorded.unwrap_or(&number)))
    });
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

#[cfg(test)]
mod tests;
