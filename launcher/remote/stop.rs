//! `ipjob stop`: asks a job for its end, in the way that reaches its ipjob, and waits for it.

use super::find::{Found, Search};
use super::job_state::{State, outlives_its_cluster};
use super::jobs::{self, Job};
use super::queue::{Phase, Queue};
use super::target::{self, Target, place};
use crate::cli::jobs::StopOptions;
use crate::failure::{Failure, Kind, Outcome};
use crate::here::os::own_time::OwnTime;
use crate::here::os::text::printable;
use crate::plan::job::JobId;
use crate::plan::profile::is_same;
use crate::plan::slurm::short;
use crate::record::{LifeId, Record, Text};
use crate::report::console::Console;
use std::thread;
use std::time::Duration;

/// Between two looks: at first something is to be seen soon, later squeue is to be spared.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// For so long looks are frequent.
const SOON: Duration = Duration::from_secs(20);

/// For so long squeue may know of a job's end before its record is seen to: file systems over the network show for a while what
/// a file was before (NFS: `acdirmax`, 60 s).
pub(super) const CACHED: Duration = Duration::from_secs(65);

/// Asks the job for its end and waits for it.
pub fn run(options: &StopOptions, console: &Console) -> Outcome<u8> {
    let target = Target::read(&options.target)?;
    let Some(wanted) = &target.job else {
        return Err(
            Failure::usage(format!("{:?} does not name a job", options.target)).hint(format!(
                "{} lists your jobs; stop ends one of them",
                target::status(target.host.as_ref())
            )),
        );
    };
    let place = place(target.host.as_ref());
    let mut search = Search::begin(target.host.as_ref(), Some(wanted))?;
    let found = search.found()?;
    let job = the_one(&found, jobs::chosen(&found, Some(wanted), &place)?)?;
    let Some(order) = order(&found, &job, &place)? else {
        console.step(&format!(
            "{} has ended already: {}",
            ended(&job),
            note(&job)
        ));
        return Ok(0);
    };
    obey(&mut search, &order, &job, &shown_by(&found, &job))?;
    console.step(&format!(
        "asked job {} to end ({})",
        job.full_name(),
        order.way()
    ));
    let life = life(&job);
    let asked = OwnTime::now();
    let mut shown = job.state;
    let mut dead_since = None;
    loop {
        pause(asked, options.timeout);
        let found = search.again()?;
        let is_waiting = matches!(order, Order::Waiting { .. });
        let now = match jobs::chosen(&found, Some(wanted), &place) {
            // Slurm has forgotten it, and it has left nothing.
            Err(failure) if is_waiting && failure.kind == Kind::NoJob => {
                console.step(&removed(&job));
                return Ok(0);
            }
            now => now?,
        };
        let same = now.into_iter().find(|now| self::life(now) == life);
        let Some(now) = same else {
            console.step(&format!(
                "job {} has ended; another job uses its profile now",
                job.full_name()
            ));
            return Ok(0);
        };
        dead_since = (now.state == State::Dead).then(|| dead_since.unwrap_or_else(OwnTime::now));
        match now.state {
            State::Dead | State::Ended if is_waiting && now.record().is_none() => {
                console.step(&removed(&job));
                return Ok(0);
            }
            State::Ended => {
                console.step(&format!("{} has ended: {}", ended(&now), note(&now)));
                return Ok(0);
            }
            State::Dead if is_waiting => {
                console.step(&removed(&job));
                return Ok(0);
            }
            State::Dead if dead_since.is_some_and(|since| is_dead(&now, since, asked, options)) => {
                return Err(Failure::service(format!(
                    "job {} is gone and did not say that it ended",
                    job.full_name()
                ))
                .because(note(&now))
                .hint(format!(
                    "see its logs: {} shows where its record is",
                    shown_by(&found, &job)
                )));
            }
            State::Dead if shown != State::Dead => console.step(&format!(
                "job {} is gone; its record may show in a moment how it ended ({})",
                job.full_name(),
                note(&now)
            )),
            State::Dead => {}
            _ if asked.elapsed() >= options.timeout => return Err(lasts(&now, options.timeout)),
            state if state != shown => {
                console.step(&format!("job {} is {}", job.full_name(), state.word()));
            }
            _ => {}
        }
        shown = now.state;
    }
}

/// What is said of a job that will not begin any more.
fn removed(job: &Job) -> String {
    format!("job {} was removed from the queue", job.full_name())
}

/// The command that shows a job, to be told.
pub(super) fn shown_by(found: &Found, job: &Job) -> String {
    let host = found.asked.as_ref();
    let host = host.map_or_else(String::new, |host| format!("{}:", host.as_str()));
    format!("`ipjob status {host}{}`", job.name())
}

/// What has ended, where its job has: only the cluster in it, where the job in Slurm goes on.
pub(super) fn ended(job: &Job) -> String {
    let goes_on = (job.record().zip(job.line.as_ref()))
        .is_some_and(|(record, line)| outlives_its_cluster(record, line));
    let what = if goes_on { "the cluster of job" } else { "job" };
    format!("{what} {}", job.full_name())
}

/// Whether a job that seems dead since then can be believed to be: only what Slurm tells of may be newer than the record.
fn is_dead(job: &Job, since: OwnTime, asked: OwnTime, options: &StopOptions) -> bool {
    job.id.is_none() || since.elapsed() >= CACHED || asked.elapsed() >= options.timeout
}

/// The job that is meant, where several have the same profile: the one that lives; of several, the one of the IPython directory in force.
pub(super) fn the_one(found: &Found, jobs: Vec<Job>) -> Outcome<Job> {
    let (over, mut live): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|job| job.state.is_over());
    match live.len() {
        0 => {
            return over
                .into_iter()
                .last()
                .ok_or_else(|| Failure::no_job("there is no such job"));
        }
        1 => return Ok(live.remove(0)),
        _ => {}
    }
    let words = jobs::words(&live).join(", ");
    let first = &live[0];
    if live.iter().any(|job| job.name() != first.name()) {
        return Err(
            Failure::usage(format!("several jobs have that name: {words}"))
                .hint("give a job id; an element of a job array is written 6_2"),
        );
    }
    let name = first.name();
    if live.iter().any(|job| job.profile != first.profile) {
        return Err(
            Failure::usage(format!("job {name} has several clusters: {words}"))
                .hint("give the profile of one instead of the job id"),
        );
    }
    let is_here = |job: &Job| {
        let places = job.trace.ipython_dir().zip(found.ipython_dir.as_deref());
        places.is_some_and(|(its, own)| is_same(its, own))
    };
    if let Some(at) = live.iter().position(is_here) {
        return Ok(live.remove(at));
    }
    let places: Vec<&str> = live
        .iter()
        .map(|job| job.trace.ipython_dir().unwrap_or("?"))
        .collect();
    Err(Failure::usage(format!(
        "the profile {name} is in use in several IPython directories: {}",
        places.join(", ")
    ))
    .hint("where it runs, set IPYTHONDIR to the directory of the one that you mean"))
}

fn obey(search: &mut Search, order: &Order, job: &Job, shown_by: &str) -> Outcome<()> {
    let Err(words) = give(search, &order.words())? else {
        return Ok(());
    };
    let kind = if words.contains("denied") {
        Kind::NoJob
    } else {
        Kind::Service
    };
    Err(Failure::new(
        kind,
        format!(
            "job {} could not be asked to end ({})",
            job.full_name(),
            order.way()
        ),
    )
    .because(words)
    .hint(format!("{shown_by} shows its state")))
}

/// Waits before the next look at a job that was asked for something then.
pub(super) fn pause(asked: OwnTime, timeout: Duration) {
    let [soon, later] = PAUSES;
    let pause = if asked.elapsed() < SOON { soon } else { later };
    thread::sleep(pause.min(timeout));
}

/// Gives an order to the other side, else tells its words.
pub(super) fn give(search: &mut Search, order: &[&str]) -> Outcome<Result<(), String>> {
    let parts = search.order(order)?;
    let asked = parts.iter().find(|part| part.kind == "asked");
    Ok(match asked {
        Some(part) if part.words.trim() == "0" => Ok(()),
        Some(part) => Err(printable(part.text().trim())),
        None => Err("no answer".to_owned()),
    })
}

/// The life that its record tells of.
fn life(job: &Job) -> Option<LifeId> {
    (*job.record()?.incarnation.id).clone()
}

/// What is told of it, or else its state.
pub(super) fn note(job: &Job) -> String {
    job.note
        .clone()
        .unwrap_or_else(|| job.state.word().to_owned())
}

fn lasts(job: &Job, timeout: Duration) -> Failure {
    let failure = Failure::not_ready(format!(
        "job {} was asked to end and is still {} after {} s",
        job.full_name(),
        job.state.word(),
        timeout.as_secs()
    ));
    let failure =
        failure.hint("an orderly stop takes up to its --stop-timeout; --timeout waits longer");
    with_scancel(failure, job)
}

/// The failure with what Slurm alone can do, where ipjob runs on a node of its job: what was started from outside of it (`--jobid`) would
/// live on, and everything else in that job end.
fn with_scancel(failure: Failure, job: &Job) -> Failure {
    let host = |record: &Record| record.incarnation.host.as_ref().map(Text::to_string);
    let is_inside = |record: &Record| host(record).is_none_or(|host| is_node(record, &host));
    match &job.id {
        Some(id) if job.record().is_none_or(is_inside) => {
            failure.hint(format!("`scancel {id}` ends the job through Slurm alone"))
        }
        _ => failure,
    }
}

/// Whether this host is a node of the job.
fn is_node(record: &Record, host: &str) -> bool {
    let nodes = &record.job.nodes;
    nodes.iter().any(|node| short(node) == short(host))
}

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

/// The way in which a job's ipjob is reached.
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
    let scancel = |failure: Failure| with_scancel(failure, job);
    match job.state {
        State::Ended => return Ok(None),
        State::Dead if runs.is_none() => return Ok(None),
        State::Dead | State::Unknown => {
            let failure = Failure::service(format!("job {name} cannot be asked: {}", note(job)));
            let shown_by = shown_by(found, job);
            return Err(scancel(failure).hint(format!("{shown_by} shows what is known about it")));
        }
        _ => {}
    }
    if let Some(failure) = elsewhere(found, job, place, "stop") {
        return Err(failure);
    }
    let waits = job.line.as_ref().filter(|_| job.state == State::Pending);
    if job.record().is_none() && waits.is_some_and(jobs::is_of_template) {
        return Ok(job.id.clone().map(|job| Order::Waiting { job }));
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
                Some(id) if is_node(record, &process.host) => Ok(Some(Order::Node {
                    job: id.clone(),
                    process,
                })),
                // Without Slurm, or started from outside of the job (`--jobid`).
                _ => Err(Failure::missing(format!(
                    "the ipjob of job {name} runs on {}, not on {}",
                    process.host, found.host
                ))
                .hint(format!("`ipjob stop {}:{name}` asks there", process.host))),
            }
        }
    }
}

/// Why nothing can be asked of the Slurm of a job from where we have looked; `command` is ipjob's for it.
pub(super) fn elsewhere(found: &Found, job: &Job, place: &str, command: &str) -> Option<Failure> {
    let id = job.id.as_ref()?;
    if job.cluster == found.cluster && found.queue != Queue::Absent {
        return None;
    }
    let cluster = job.cluster.as_deref().unwrap_or("another");
    let failure = Failure::missing(format!(
        "job {id} runs on cluster {cluster}, whose queue cannot be seen from {place}"
    ));
    Some(failure.hint(format!(
        "name a login node of {cluster}: `ipjob {command} HOST:{id}`"
    )))
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
