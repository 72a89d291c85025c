//! The record, `ipjob.json`: what programs read to find host, port and token, and how the job is. One type is written by ipjob and read by
//! all its readers; docs/connection-file.md says it in prose, and docs/ipjob.schema.json is made from it (`schema.rs`). PURE.
//!
//! What is read may come from another machine, and whoever wrote it may mean harm: a field counts only if it is what it should be. Else it counts
//! as missing and is named in `faults`.
//!
//! docs/design/record.md explains the design.

mod engines;
mod field;
#[cfg(test)]
mod fuzz;
pub mod moment;
mod pointer;
mod printable;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
mod word;

pub use engines::{Engine, Engines};
pub use field::{Field, OrNull};
pub use moment::Moment;
pub use pointer::Pointer;
pub use printable::printable;
pub use word::{
    AbsPath, Address, JobNumber, LifeId, PageUrl, RequestId, Seconds, SignalTo, Text, Time, Token,
};

use crate::failure::Outcome;
use crate::plan::Plan;
use crate::plan::incarnation::Incarnation;
use crate::plan::name::Name;
use crate::plan::profile::ProfileName;
use crate::plan::settings::{Launcher, Mode};
use field::or_default;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::num::NonZeroU16;

/// The version of the record's and the pointer's form: readers ignore fields that they do not know, and refuse a higher version.
const VERSION: u32 = 1;

/// Seconds between two writes when nothing happens.
pub const REFRESH_S: u64 = 60;

/// So many times what lies between two writes may pass without one: a busy file system, clocks that differ.
const MISSES: u64 = 3;

/// The longest record that is read from elsewhere, in bytes: one of 10 000 engines has half of that.
pub const LONGEST_RECORD: usize = 2 * 1024 * 1024;

/// Entries of the timeline and warnings that are kept.
const LONGEST_LIST: usize = 500;

/// The whole record. Field names are the file's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Record {
    #[cfg_attr(test, schemars(range(min = 1, max = 1)))]
    version: Field<u32>,
    /// How the job is.
    pub state: Field<State>,
    /// What was asked for.
    pub mode: Field<Mode>,
    /// Why the job stops or has ended.
    pub reason: OrNull<Text>,
    /// What ipjob was given to run on.
    #[serde(deserialize_with = "or_default")]
    pub job: Job,
    /// The life of ipjob that writes it.
    #[serde(deserialize_with = "or_default")]
    pub incarnation: Life,
    /// The profile.
    #[serde(deserialize_with = "or_default")]
    pub profile: Profile,
    /// How engines are started.
    pub launcher: Field<Launcher>,
    /// The step of the engines, with a launcher that makes one.
    pub step: OrNull<Text>,
    /// Lines that a person should look at.
    #[serde(deserialize_with = "or_default")]
    #[cfg_attr(test, schemars(length(max = 500)))]
    pub warnings: Vec<Text>,
    /// What services that run lack, as ipjob has seen it.
    #[serde(deserialize_with = "or_default")]
    pub hindered: Hindered,
    /// The last request of the user's, and what has become of it.
    pub request: OrNull<Request>,
    /// Where ipjob's own lines go, if it is detached.
    pub log: OrNull<AbsPath>,
    /// The exit code, once the job has ended.
    pub exit: OrNull<u8>,
    /// The program of ipjob itself, which `ipjob ssh` runs on nodes of the job.
    pub program: OrNull<AbsPath>,
    /// The host that Jupyter and the controller run on.
    pub host: Field<Text>,
    /// The address that Jupyter listens on.
    pub ip: OrNull<Address>,
    /// The port that Jupyter listens on.
    pub port: OrNull<NonZeroU16>,
    /// Jupyter's token.
    pub token: OrNull<Token>,
    /// Jupyter's page with the token in it.
    pub url: OrNull<PageUrl>,
    /// The controller.
    #[serde(deserialize_with = "or_default")]
    pub controller: Controller,
    /// The engines.
    #[serde(deserialize_with = "or_default")]
    pub engines: Engines,
    /// How often each service was started again.
    #[serde(deserialize_with = "or_default")]
    pub restarts: Restarts,
    /// The job's course.
    #[serde(deserialize_with = "or_default")]
    #[cfg_attr(test, schemars(length(max = 500)))]
    pub timeline: Vec<Moment>,
    /// When it began.
    pub started: Field<Time>,
    /// When the record was written.
    pub updated: Field<Time>,
    /// It is written anew at least as often, in seconds.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub refresh_s: Field<u64>,
    /// Fields that have no value that could be one, as JSON pointers.
    #[serde(skip)]
    pub faults: Vec<String>,
}

/// How a job is, as its ipjob tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not every service is ready.
    Starting,
    /// All of it can be used.
    Ready,
    /// It can be used, with fewer engines, or without a service that is being started again.
    Degraded,
    /// It is being taken down.
    Stopping,
    /// Nothing runs any more.
    Ended,
}

impl State {
    /// The word for it, which is the record's.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
        }
    }
}

/// What ipjob was given to run on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Job {
    /// The Slurm cluster; `local` without Slurm.
    pub cluster: Field<Text>,
    /// The job's number; null without Slurm.
    pub id: OrNull<JobNumber>,
    /// What Slurm calls the job: `6_2`.
    #[cfg_attr(test, schemars(regex(pattern = "^[0-9]+(_[0-9]+|\\+[0-9]+)?$")))]
    pub name: OrNull<Text>,
    /// The nodes.
    #[serde(deserialize_with = "or_default")]
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub nodes: Vec<Text>,
    /// How often it was requeued.
    pub restart: Field<u32>,
    /// The end of its time.
    pub deadline: OrNull<Time>,
    /// What `scancel` must name for its signal to reach ipjob.
    pub signal_to: OrNull<SignalTo>,
}

/// One life of ipjob.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Life {
    /// Its id.
    pub id: Field<LifeId>,
    /// The host that ipjob runs on.
    pub host: Field<Text>,
    /// That host's boot id; empty where it cannot be read.
    #[cfg_attr(test, schemars(length(min = 0)))]
    pub boot: Field<Text>,
    /// ipjob's process id.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub pid: Field<u32>,
    /// The start of that process.
    pub pid_start: Field<u64>,
}

/// The profile as the record tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Profile {
    /// Its name.
    pub name: Field<ProfileName>,
    /// Its directory.
    pub dir: Field<AbsPath>,
    /// Where all logs are.
    pub log_dir: Field<AbsPath>,
}

/// The controller as the record tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Controller {
    /// The clients' connection file.
    pub client_file: Field<AbsPath>,
    /// The process id, once it was started.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub pid: OrNull<u32>,
    /// The version of ipyparallel.
    #[cfg_attr(test, schemars(regex(pattern = "^[0-9]+")))]
    pub ipyparallel: Field<Text>,
    /// Whether all that passes its ports is encrypted.
    pub encrypted: Field<bool>,
}

/// How often each service was started again after it died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Restarts {
    controller: Field<u32>,
    engines: Field<u32>,
    jupyter: Field<u32>,
}

impl Restarts {
    /// All that are told.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u32)> {
        [
            (Name::Controller, self.controller),
            (Name::Engines, self.engines),
            (Name::Jupyter, self.jupyter),
        ]
        .into_iter()
        .filter_map(|(name, times)| Some((name.word(), (*times)?)))
    }
}

/// What services that run lack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Hindered {
    controller: OrNull<Text>,
    jupyter: OrNull<Text>,
}

impl Hindered {
    /// All that lack something, and what.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Text)> {
        [
            (Name::Controller, &self.controller),
            (Name::Jupyter, &self.jupyter),
        ]
        .into_iter()
        .filter_map(|(name, what)| Some((name.word(), what.as_ref()?)))
    }
}

/// A request of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Request {
    /// Its id, as `ipjob restart` chose it.
    pub id: RequestId,
    /// What has become of it.
    pub state: RequestState,
    /// What is there now, or why not more.
    #[serde(default)]
    pub text: OrNull<Text>,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// It is being carried out.
    Running,
    /// All of it is done.
    Done,
    /// Not all of it can be done.
    Failed,
}

impl RequestState {
    /// The word for it, which is the record's.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl From<&Incarnation> for Life {
    fn from(life: &Incarnation) -> Self {
        Self {
            id: LifeId::ours(&life.id).into(),
            host: Text::ours(&life.host).into(),
            boot: Text::ours(&life.boot).into(),
            pid: life.pid.into(),
            pid_start: life.pid_start.into(),
        }
    }
}

impl Life {
    /// The incarnation, where all of it is told.
    fn whole(&self) -> Option<Incarnation> {
        Some(Incarnation {
            id: self.id.as_deref()?.to_owned(),
            host: self.host.as_deref()?.to_owned(),
            boot: self.boot.as_deref()?.to_owned(),
            pid: (*self.pid)?,
            pid_start: (*self.pid_start)?,
        })
    }
}

/// Reading.
impl Record {
    /// Reads a record from anywhere; else why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let told = parse(bytes, LONGEST_RECORD)?;
        let mut record = Self::from_value(&told);
        record.faults = faults(&told, &record);
        Ok(record)
    }

    /// The record that a life of this or another version of ipjob has left in a profile of the user's own.
    #[must_use]
    pub fn of_profile(bytes: &[u8]) -> Option<Self> {
        let told: Value = serde_json::from_slice(bytes).ok()?;
        Some(Self::from_value(&told))
    }

    fn from_value(told: &Value) -> Self {
        Self::deserialize(told).unwrap_or_default()
    }

    /// The life that wrote it.
    #[must_use]
    pub fn author(&self) -> Option<Incarnation> {
        self.incarnation.whole()
    }

    /// Seconds since it was written, by a clock that says `now`; a writer's clock may go before ours.
    #[must_use]
    pub fn age_s(&self, now: Timestamp) -> Option<u64> {
        let age = now.duration_since(self.updated.as_ref()?.0).as_secs();
        Some(u64::try_from(age).unwrap_or(0))
    }

    /// How old it may become, in seconds, while its writer lives.
    #[must_use]
    pub fn limit_s(&self) -> u64 {
        self.refresh_s.unwrap_or(REFRESH_S).saturating_mul(MISSES)
    }

    /// Whether its writer has been silent for so long that it must have died; the same rule as in docs/connection-file.md.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.age_s(now).is_none_or(|age| age > self.limit_s())
    }

    /// Whether it says that the job has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        *self.state == Some(State::Ended)
    }
}

/// The JSON of a file of ours; its length and version are looked at first.
fn parse(bytes: &[u8], longest: usize) -> Result<Value, String> {
    if bytes.len() > longest {
        return Err(format!("it is longer than {longest} bytes"));
    }
    if bytes.trim_ascii().is_empty() {
        return Err("it is empty (a full disk?)".to_owned());
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let cut = if error.is_eof() {
            "it is cut off (a full disk?)"
        } else {
            "it is not JSON"
        };
        format!("{cut}: {}", printable(&error.to_string()))
    })?;
    match value.get("version").map(Value::as_u64) {
        Some(Some(version)) if version <= u64::from(VERSION) => Ok(value),
        Some(Some(version)) => Err(format!(
            "it has version {version}, and this ipjob reads versions up to {VERSION}: a newer ipjob is needed"
        )),
        _ => Err("it has no version, so ipjob did not write it".to_owned()),
    }
}

/// The fields of a file that were no good: what was told and is not there when it is written again.
fn faults(told: &Value, read: &impl Serialize) -> Vec<String> {
    let text = serde_json::to_vec_pretty(read).unwrap_or_default();
    let read: Value = serde_json::from_slice(&text).unwrap_or_default();
    let mut faults = Vec::new();
    compare(told, &read, "", &mut faults);
    faults
}

fn compare(told: &Value, read: &Value, name: &str, faults: &mut Vec<String>) {
    match (told, read) {
        (Value::Object(told), Value::Object(read)) => {
            for (field, read) in read {
                if let Some(told) = told.get(field) {
                    compare(told, read, &format!("{name}/{field}"), faults);
                }
            }
        }
        (Value::Array(told), Value::Array(read)) if told.len() == read.len() => {}
        (Value::Null, _) => {}
        (told, read)
            if read.is_null()
                || told.is_object()
                || told.is_array()
                || read.is_object()
                || read.is_array() =>
        {
            faults.push(name.to_owned());
        }
        _ => {}
    }
}

/// Writing.
impl Record {
    /// The record of a job that begins now; `signal_to` is what `scancel` must name.
    pub fn new(plan: &Plan, signal_to: Option<SignalTo>) -> Outcome<Self> {
        let now = Time::now();
        let job = plan.allocation.job.as_ref();
        Ok(Self {
            version: VERSION.into(),
            state: State::Starting.into(),
            mode: plan.settings.mode.into(),
            job: Job {
                cluster: Text::ours(&plan.allocation.cluster).into(),
                id: job.map(|job| JobNumber::ours(job.number())).into(),
                name: job.map(|job| Text::ours(job.name())).into(),
                nodes: plan.allocation.nodes.iter().map(Text::ours).collect(),
                restart: plan.allocation.restart.into(),
                deadline: OrNull::default(),
                signal_to: signal_to.into(),
            },
            incarnation: Life::from(&plan.incarnation),
            profile: Profile {
                name: plan.profile.name.clone().into(),
                dir: AbsPath::of(&plan.profile.dir)?.into(),
                log_dir: AbsPath::of(&plan.profile.log_dir())?.into(),
            },
            launcher: plan.launcher.into(),
            program: plan
                .program
                .as_deref()
                .and_then(|program| AbsPath::of(program).ok())
                .into(),
            host: Text::ours(&plan.incarnation.host).into(),
            controller: Controller {
                client_file: AbsPath::of(&plan.profile.own_client_file())?.into(),
                pid: OrNull::default(),
                ipyparallel: Text::ours(plan.ipyparallel.to_string()).into(),
                encrypted: plan.encrypted.into(),
            },
            engines: Engines::new(plan.engines, &plan.creation),
            restarts: Restarts {
                controller: 0.into(),
                engines: 0.into(),
                jupyter: 0.into(),
            },
            started: now.into(),
            updated: now.into(),
            refresh_s: REFRESH_S.into(),
            ..Self::default()
        })
    }

    /// Keeps a moment of the job's course; `at` is in seconds since the start.
    pub fn mark(&mut self, at: f64, event: String) {
        let moment = Moment {
            at: Seconds::new(at),
            event: Text::ours(event),
        };
        push(&mut self.timeline, moment);
    }

    /// Keeps a line that a person should look at.
    pub fn warn(&mut self, text: String) {
        push(&mut self.warnings, Text::ours(text));
    }

    /// Keeps the end of the job's time, or that it has none; false when that was known already.
    pub fn set_deadline(&mut self, deadline: Option<Timestamp>) -> bool {
        let deadline = deadline.map(Time).into();
        std::mem::replace(&mut self.job.deadline, deadline) != deadline
    }

    /// Keeps what Slurm calls the job; false when it was known already.
    pub fn set_job_name(&mut self, name: &str) -> bool {
        let name = Some(Text::ours(name)).into();
        let known = self.job.name == name;
        self.job.name = name;
        !known
    }

    /// Counts a service that was started again.
    pub fn count_restart(&mut self, service: Name) {
        let count = match service {
            Name::Controller => &mut self.restarts.controller,
            Name::Engines => &mut self.restarts.engines,
            Name::Jupyter => &mut self.restarts.jupyter,
            Name::Driver => return,
        };
        *count.get_or_insert(0) += 1;
    }

    /// Keeps what a service lacks, or that it lacks nothing.
    pub fn set_hindered(&mut self, service: Name, what: Option<&str>) {
        let what = what.map(Text::ours).into();
        match service {
            Name::Controller => self.hindered.controller = what,
            Name::Jupyter => self.hindered.jupyter = what,
            Name::Engines | Name::Driver => {}
        }
    }

    /// Keeps why the job stops or has ended.
    pub fn set_reason(&mut self, reason: &str) {
        self.reason = Text::ours(reason).into();
    }

    /// Tells no more how to reach Jupyter: there is none any more.
    pub fn forget_jupyter(&mut self) {
        self.forget_secrets();
        self.port = OrNull::default();
        self.ip = OrNull::default();
    }

    /// Takes everything secret out: the job has ended.
    pub fn forget_secrets(&mut self) {
        self.token = OrNull::default();
        self.url = OrNull::default();
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
