//! The record, `ipjob.json`: what programs read to find host, port and token, and how the job is. docs/connection-file.md
//! documents it, and docs/ipjob.schema.json is checked against real ones.

mod engines;
mod request;
mod writer;

pub use engines::{Engine, Engines};
pub use request::Request;
pub use writer::{Writer, Written};

use crate::here::site::identity;
use crate::plan::Plan;
use crate::plan::incarnation::Incarnation;
use crate::plan::name::Name;
use crate::plan::profile::ProfileName;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The version of the record's form: readers ignore fields that they do not know, and refuse a higher version.
const VERSION: u32 = 1;

/// Seconds between two writes when nothing happens: a reader takes a record that is much older for a dead one's.
pub const REFRESH_S: u64 = 60;

/// Entries of the timeline and warnings that are kept.
const LONGEST_LIST: usize = 500;

/// The whole record. Field names are the file's.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    version: u32,
    /// `starting`, `ready`, `degraded`, `stopping` or `ended`.
    pub state: &'static str,
    mode: String,
    /// Why the job stops or has ended.
    pub reason: Option<String>,
    job: Job,
    incarnation: Incarnation,
    profile: ProfilePart,
    launcher: String,
    /// The step of the engines, with a launcher that makes one.
    pub step: Option<String>,
    warnings: Vec<String>,
    /// What services that run lack, as it was seen.
    pub hindered: BTreeMap<&'static str, Option<String>>,
    /// The last request of the user's, and what has become of it.
    pub request: Option<Request>,
    /// The exit code, once the job has ended.
    pub exit: Option<u8>,
    host: String,
    /// The address that Jupyter listens on.
    pub ip: Option<String>,
    /// The port that Jupyter listens on.
    pub port: Option<u16>,
    /// Jupyter's token.
    pub token: Option<String>,
    /// Jupyter's page with the token in it.
    pub url: Option<String>,
    /// The controller.
    pub controller: Controller,
    /// The engines.
    pub engines: Engines,
    /// How often each service was started again.
    restarts: BTreeMap<&'static str, u32>,
    timeline: Vec<Moment>,
    started: String,
    updated: String,
    refresh_s: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Job {
    cluster: String,
    id: Option<String>,
    name: Option<String>,
    nodes: Vec<String>,
    restart: u32,
    deadline: Option<String>,
    /// What `scancel` must name for its signal to reach ipjob: `batch`, or a step.
    signal_to: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct ProfilePart {
    name: ProfileName,
    dir: PathBuf,
    log_dir: PathBuf,
}

/// The controller as the record tells it.
#[derive(Clone, Debug, Serialize)]
pub struct Controller {
    client_file: PathBuf,
    /// The process id, once it was started.
    pub pid: Option<u32>,
    ipyparallel: String,
    /// Whether all that passes its ports is encrypted.
    encrypted: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Moment {
    at: f64,
    event: String,
}

impl Record {
    /// The record of a job that begins now.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let now = now();
        let job = plan.allocation.job.as_ref();
        Self {
            version: VERSION,
            state: "starting",
            mode: plan.settings.mode.to_string(),
            reason: None,
            job: Job {
                cluster: plan.allocation.cluster.clone(),
                id: job.map(|job| job.number().to_owned()),
                name: job.map(|job| job.name().to_owned()),
                nodes: plan.allocation.nodes.clone(),
                restart: plan.allocation.restart,
                deadline: None,
                signal_to: plan
                    .allocation
                    .slurm
                    .as_ref()
                    .and_then(identity::signalled_as),
            },
            incarnation: plan.incarnation.clone(),
            profile: ProfilePart {
                name: plan.profile.name.clone(),
                dir: plan.profile.dir.clone(),
                log_dir: plan.profile.log_dir(),
            },
            launcher: plan.launcher.to_string(),
            step: None,
            warnings: Vec::new(),
            hindered: [Name::Controller, Name::Jupyter]
                .map(|name| (name.word(), None))
                .into(),
            request: None,
            exit: None,
            host: plan.incarnation.host.clone(),
            ip: None,
            port: None,
            token: None,
            url: None,
            controller: Controller {
                client_file: plan.profile.own_client_file(),
                pid: None,
                ipyparallel: plan.ipyparallel.to_string(),
                encrypted: plan.encrypted,
            },
            engines: Engines::new(plan.engines),
            restarts: [Name::Controller, Name::Engines, Name::Jupyter]
                .map(|name| (name.word(), 0))
                .into(),
            timeline: Vec::new(),
            started: now.clone(),
            updated: now,
            refresh_s: REFRESH_S,
        }
    }

    /// Keeps a moment of the job's course; `at` is in seconds since the start.
    pub fn mark(&mut self, at: f64, event: String) {
        let at = milliseconds(at);
        push(&mut self.timeline, Moment { at, event });
    }

    /// Keeps a line that a person should look at.
    pub fn warn(&mut self, text: String) {
        push(&mut self.warnings, text);
    }

    /// Keeps the end of the job's time, or that it has none; false when that was known already.
    pub fn set_deadline(&mut self, deadline: Option<&str>) -> bool {
        let before = std::mem::replace(&mut self.job.deadline, deadline.map(str::to_owned));
        before.as_deref() != deadline
    }

    /// Keeps what Slurm calls the job; false when it was known already.
    pub fn set_job_name(&mut self, name: &str) -> bool {
        self.job.name.replace(name.to_owned()).as_deref() != Some(name)
    }

    /// Counts a service that was started again.
    pub fn count_restart(&mut self, service: Name) {
        *self.restarts.entry(service.word()).or_default() += 1;
    }

    /// Tells no more how to reach Jupyter: there is none any more.
    pub fn forget_jupyter(&mut self) {
        self.forget_secrets();
        self.port = None;
        self.ip = None;
    }

    /// Takes everything secret out: the job has ended.
    pub fn forget_secrets(&mut self) {
        self.token = None;
        self.url = None;
    }
}

/// Adds to a list that has an end: what goes is the oldest of its later half, so that a job that is mended again and again still tells
/// of its start and of what was last.
fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.len() >= LONGEST_LIST {
        list.remove(LONGEST_LIST / 2);
    }
    list.push(entry);
}

/// Seconds, as exact as the record tells them.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Now, as the record writes it: `2026-11-22T14:27:15Z`.
fn now() -> String {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_keeps_the_start_and_what_was_last() {
        let mut list = Vec::new();
        for entry in 0..100_000_usize {
            push(&mut list, entry);
        }
        assert_eq!(list.len(), LONGEST_LIST);
        let half = LONGEST_LIST / 2;
        assert!(list[..half].iter().copied().eq(0..half));
        assert!(list[half..].iter().copied().eq(100_000 - half..100_000));
    }
}
