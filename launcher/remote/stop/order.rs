//! The way in which a job's ipjob is reached. PURE.

use super::super::find::Found;
use super::super::job_state::State;
use super::super::jobs::Job;
use super::super::queue::{Phase, Queue};
use super::super::target;
use super::note;
use crate::failure::{Failure, Outcome};
use crate::plan::job::JobId;
use crate::record::{Record, Text};

/// How ipjob is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The job's batch script is ipjob.
    Batch { job: JobId },
    /// ipjob is a step.
    Step { step: String },
    /// The job waits in the queue.
    Waiting { job: JobId },
    /// ipjob is a process of the host that was asked.
    Process(Process),
    /// ipjob is a process on another node of its job.
    Node { job: JobId, process: Process },
}

/// A process, as its record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    host: String,
    pid: String,
    start: String,
    boot: String,
}

impl Order {
    /// What is said of it.
    pub fn way(&self) -> String {
        match self {
            Self::Batch { .. } => "SIGTERM to its batch script".to_owned(),
            Self::Step { step } => format!("SIGTERM to its step {step}"),
            Self::Waiting { .. } => "removed from the queue".to_owned(),
            Self::Process(process) | Self::Node { process, .. } => {
                format!("SIGTERM to pid {} on {}", process.pid, process.host)
            }
        }
    }

    /// The words of the script's order.
    pub fn words(&self) -> [&str; 8] {
        let (how, id, step, process) = match self {
            Self::Batch { job } => ("batch", job.name(), "", None),
            Self::Step { step } => ("step", "", step.as_str(), None),
            Self::Waiting { job } => ("waiting", job.name(), "", None),
            Self::Process(process) => ("process", "", "", Some(process)),
            // For srun, which goes by numbers.
            Self::Node { job, process } => ("node", job.number(), "", Some(process)),
        };
        let [host, pid, start, boot] = process.map_or([""; 4], |process| {
            [
                process.host.as_str(),
                &process.pid,
                &process.start,
                &process.boot,
            ]
        });
        ["ask", how, id, step, host, pid, start, boot]
    }
}

/// How the job is asked; `None` if it is over.
pub fn order(found: &Found, job: &Job, place: &str) -> Outcome<Option<Order>> {
    let name = job.name();
    let runs = job
        .line
        .as_ref()
        .filter(|line| line.phase() == Phase::Running);
    let scancel = |failure: Failure| match &job.id {
        Some(id) => failure.hint(format!("`scancel {id}` ends the job through Slurm alone")),
        None => failure,
    };
    match job.state {
        State::Ended => return Ok(None),
        State::Dead if runs.is_none() => return Ok(None),
        State::Dead | State::Unknown => {
            let failure = Failure::service(format!("job {name} cannot be asked: {}", note(job)));
            return Err(scancel(failure).hint("`ipjob status` shows what is known about it"));
        }
        _ => {}
    }
    if let Some(id) = job
        .id
        .as_ref()
        .filter(|_| job.cluster != found.cluster || found.queue == Queue::Absent)
    {
        let cluster = job.cluster.as_deref().unwrap_or("another");
        return Err(Failure::missing(format!(
            "job {id} runs on cluster {cluster}, whose queue cannot be seen from {place}"
        ))
        .hint(format!(
            "name a login node of {cluster}: `ipjob stop HOST:{id}`"
        )));
    }
    let Some(record) = job.record() else {
        let failure = Failure::no_job(format!(
            "job {name} has no record, so it may not be an ipjob job: {}",
            note(job)
        ));
        return Err(scancel(failure).hint("it can be asked once it has started"));
    };
    if job.state == State::Pending {
        return Ok(job.id.clone().map(|job| Order::Waiting { job }));
    }
    match (&job.id, record.job.signal_to.as_ref()) {
        (Some(id), Some(to)) if to.step().is_none() => Ok(Some(Order::Batch { job: id.clone() })),
        // A step of another job is none that this job's record may name.
        (Some(id), Some(step)) if step.split('.').next() == Some(id.number()) => {
            Ok(Some(Order::Step {
                step: step.to_string(),
            }))
        }
        (id, _) => {
            let process = process(record).ok_or_else(|| {
                scancel(Failure::missing(format!(
                    "the record of job {name} does not name its process"
                )))
                .hint("end it where it runs")
            })?;
            match id {
                _ if process.host == found.host => Ok(Some(Order::Process(process))),
                Some(id) => Ok(Some(Order::Node {
                    job: id.clone(),
                    process,
                })),
                None => Err(Failure::missing(format!(
                    "job {name} runs on {}, not on {}",
                    process.host, found.host
                ))
                .hint(format!("`ipjob stop {}:{name}` asks there", process.host))),
            }
        }
    }
}

fn process(record: &Record) -> Option<Process> {
    let life = &record.incarnation;
    let plain = |text: &Text| target::is_plain(text).then(|| text.to_string());
    Some(Process {
        host: life.host.as_ref().and_then(plain)?,
        pid: life.pid.as_ref()?.to_string(),
        start: life.pid_start.as_ref()?.to_string(),
        boot: life.boot.as_ref().and_then(plain)?,
    })
}
