//! `ipjob stop`: asks a job for its end, in the way that reaches its ipjob, and waits for it.

use super::find::{Found, Search};
use super::jobs::{self, Job};
use super::queue::{Phase, Queue};
use super::sight::Sight;
use super::status::place;
use super::target::Target;
use super::verdict::State;
use crate::cli::jobs::StopOptions;
use crate::failure::{Failure, Kind, Outcome};
use crate::here::text::printable;
use crate::report::console::Console;
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks while a job ends: at first it is to be seen soon, later squeue is to be spared.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// For so long looks are frequent.
const SOON: Duration = Duration::from_secs(20);

/// Asks the job for its end and waits for it.
pub fn run(options: &StopOptions, console: &Console) -> Outcome<u8> {
    let target = Target::read(&options.target)?;
    let Some(wanted) = &target.job else {
        return Err(Failure::usage(format!("{:?} names no job", options.target))
            .hint("`ipjob status [HOST:]` lists the jobs there are; stop ends one of them"));
    };
    let place = place(target.host.as_ref());
    let mut search = Search::begin(target.host.as_ref(), Some(wanted))?;
    let found = search.found()?;
    let job = the_one(jobs::chosen(&found, Some(wanted), &place)?)?;
    let Some(order) = order(&found, &job, &place)? else {
        console.step(&format!(
            "job {} has ended already: {}",
            job.name(),
            note(&job)
        ));
        return Ok(0);
    };
    obey(&mut search, &order, &job)?;
    console.step(&format!(
        "asked job {} to end ({})",
        job.name(),
        order.way()
    ));
    let life = job.sight().and_then(|sight| sight.incarnation.clone());
    let asked = Instant::now();
    let mut shown = job.state;
    loop {
        let pause = if asked.elapsed() < SOON {
            PAUSES[0]
        } else {
            PAUSES[1]
        };
        thread::sleep(pause.min(options.timeout));
        let found = search.again()?;
        let now = jobs::chosen(&found, Some(wanted), &place)?;
        let same = now
            .into_iter()
            .find(|now| now.sight().and_then(|sight| sight.incarnation.clone()) == life);
        let Some(now) = same else {
            console.step(&format!(
                "job {} has ended; another one has its profile now",
                job.name()
            ));
            return Ok(0);
        };
        match now.state {
            State::Ended => {
                console.step(&format!("job {} has ended: {}", job.name(), note(&now)));
                return Ok(0);
            }
            State::Dead if matches!(order, Order::Waiting { .. }) => {
                console.step(&format!("job {} is out of the queue", job.name()));
                return Ok(0);
            }
            State::Dead => {
                return Err(Failure::service(format!(
                    "job {} is gone and did not say that it ended",
                    job.name()
                ))
                .because(note(&now))
                .hint("its logs tell more: `ipjob status` shows where its record lies"));
            }
            _ if asked.elapsed() >= options.timeout => return Err(lasts(&now, options.timeout)),
            state if state != shown => {
                console.step(&format!("job {} is {}", job.name(), state.word()));
            }
            _ => {}
        }
        shown = now.state;
    }
}

/// How ipjob is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    /// The job's batch script is ipjob.
    Batch { id: String },
    /// ipjob is a step.
    Step { step: String },
    /// The job waits in the queue.
    Waiting { id: String },
    /// ipjob is a process of the host that was asked.
    Process(Process),
    /// ipjob is a process on another node of its job.
    Node { id: String, process: Process },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    host: String,
    pid: String,
    start: String,
    boot: String,
}

impl Order {
    /// What is said of it.
    fn way(&self) -> String {
        match self {
            Self::Batch { .. } => "SIGTERM to its batch script".to_owned(),
            Self::Step { step } => format!("SIGTERM to its step {step}"),
            Self::Waiting { .. } => "taken out of the queue".to_owned(),
            Self::Process(process) | Self::Node { process, .. } => {
                format!("SIGTERM to pid {} on {}", process.pid, process.host)
            }
        }
    }

    /// The words of the script's order.
    fn words(&self) -> [&str; 8] {
        let (how, id, step, process) = match self {
            Self::Batch { id } => ("batch", id.as_str(), "", None),
            Self::Step { step } => ("step", "", step.as_str(), None),
            Self::Waiting { id } => ("waiting", id.as_str(), "", None),
            Self::Process(process) => ("process", "", "", Some(process)),
            Self::Node { id, process } => ("node", id.as_str(), "", Some(process)),
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

/// The job that is meant, where several have the same profile: the one that lives.
fn the_one(jobs: Vec<Job>) -> Outcome<Job> {
    let (over, mut live): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|job| job.state.is_over());
    match live.len() {
        0 => over
            .into_iter()
            .last()
            .ok_or_else(|| Failure::no_job("there is no such job")),
        1 => Ok(live.remove(0)),
        _ => {
            let ids: Vec<String> = live
                .iter()
                .map(|job| job.id.clone().unwrap_or_else(|| job.name()))
                .collect();
            Err(
                Failure::usage(format!("that name is several jobs': {}", ids.join(", ")))
                    .hint("name one by its job id"),
            )
        }
    }
}

/// How the job is asked; `None` if it is over.
fn order(found: &Found, job: &Job, place: &str) -> Outcome<Option<Order>> {
    let name = job.name();
    let runs = job
        .line
        .as_ref()
        .filter(|line| line.phase() == Phase::Running);
    let scancel = |failure: Failure| match &job.id {
        Some(id) => failure.hint(format!("`scancel {id}` ends the job by Slurm alone")),
        None => failure,
    };
    match job.state {
        State::Ended => return Ok(None),
        State::Dead if runs.is_none() => return Ok(None),
        State::Dead | State::Unknown => {
            let failure = Failure::service(format!("job {name} cannot be asked: {}", note(job)));
            return Err(scancel(failure).hint("`ipjob status` tells what is known of it"));
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
            "job {id} runs on cluster {cluster}, whose queue is not seen from {place}"
        ))
        .hint(format!(
            "name a login node of {cluster}: `ipjob stop HOST:{id}`"
        )));
    }
    let Some(sight) = job.sight() else {
        let failure = Failure::no_job(format!(
            "job {name} has no record, so it may be no job of ipjob: {}",
            note(job)
        ));
        return Err(scancel(failure).hint("once it has begun it can be asked"));
    };
    if job.state == State::Pending {
        return Ok(job.id.clone().map(|id| Order::Waiting { id }));
    }
    match (&job.id, sight.signal_to.as_deref()) {
        (Some(id), Some("batch")) => Ok(Some(Order::Batch { id: id.clone() })),
        // A step of another job is none that this job's record may name.
        (Some(id), Some(step)) if step.split('.').next() == Some(id) => Ok(Some(Order::Step {
            step: step.to_owned(),
        })),
        (id, _) => {
            let process = process(sight).ok_or_else(|| {
                scancel(Failure::missing(format!(
                    "the record of job {name} does not tell its process"
                )))
                .hint("end it where it runs")
            })?;
            match id {
                _ if process.host == found.host => Ok(Some(Order::Process(process))),
                Some(id) => Ok(Some(Order::Node {
                    id: id.clone(),
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

fn process(sight: &Sight) -> Option<Process> {
    let plain = |text: &String| super::target::is_plain(text);
    Some(Process {
        host: sight.life_host.clone().filter(plain)?,
        pid: sight.pid?.to_string(),
        start: sight.pid_start?.to_string(),
        boot: sight.boot.clone().filter(plain)?,
    })
}

fn obey(search: &mut Search, order: &Order, job: &Job) -> Outcome<()> {
    let parts = search.order(&order.words())?;
    let asked = parts.iter().find(|part| part.kind == "asked");
    if asked.is_some_and(|part| part.words.trim() == "0") {
        return Ok(());
    }
    let words = asked.map_or_else(
        || "no answer".to_owned(),
        |part| printable(part.text().trim()),
    );
    let kind = if words.contains("denied") {
        Kind::NoJob
    } else {
        Kind::Service
    };
    Err(Failure::new(
        kind,
        format!(
            "job {} could not be asked to end ({})",
            job.name(),
            order.way()
        ),
    )
    .because(words)
    .hint("`ipjob status` tells how it is now"))
}

fn note(job: &Job) -> String {
    job.note
        .clone()
        .unwrap_or_else(|| job.state.word().to_owned())
}

fn lasts(job: &Job, timeout: Duration) -> Failure {
    let failure = Failure::not_ready(format!(
        "job {} was asked and is {} still after {} s",
        job.name(),
        job.state.word(),
        timeout.as_secs()
    ));
    let failure =
        failure.hint("it ends in order, which takes its --stop-timeout; --timeout waits longer");
    match &job.id {
        Some(id) => failure.hint(format!("`scancel {id}` ends it by Slurm alone")),
        None => failure,
    }
}
