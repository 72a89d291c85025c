//! `ipjob restart`: has a job start its lost engines again, and waits for them. What is asked for is written into a file that the job's ipjob
//! has made for it; what becomes of it stands in the record.

use super::find::{Found, Search};
use super::job_state::State;
use super::jobs::{self, Job};
use super::stop::{give, note, pause, shown_by, the_one};
use super::target::{self, Target, place};
use crate::cli::jobs::RestartOptions;
use crate::failure::{Failure, Kind, Outcome};
use crate::here::os::own_time::OwnTime;
use crate::plan::incarnation::INCARNATION_VARIABLE;
use crate::plan::profile;
use crate::plan::request::Request;
use crate::record::{Record, RequestState};
use crate::report::console::Console;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Asks the job for its engines and waits for them.
pub fn run(options: &RestartOptions, console: &Console) -> Outcome<u8> {
    let target = Target::read(options.target.as_deref().unwrap_or_default())?;
    let wanted = target.job.as_ref();
    let own = std::env::var(INCARNATION_VARIABLE).ok();
    let own = own.filter(|_| target.host.is_none() && wanted.is_none());
    let place = place(target.host.as_ref());
    let mut search = Search::begin(target.host.as_ref(), wanted)?;
    let found = search.found()?;
    let job = meant(&found, wanted, own.as_deref(), &place)?;
    let name = job.full_name();
    let (path, life) = addressee(&job)?;
    let request = Request {
        id: new_id(),
        all: options.all,
    };
    ask(&mut search, &path, &life, &request, &name)
        .map_err(|failure| failure.hint(format!("{} shows its state", shown_by(&found, &job))))?;
    console.step(&format!("asked job {name} to restart its engines"));
    let asked = OwnTime::now();
    loop {
        pause(asked, options.timeout);
        let found = search.again()?;
        let now = jobs::chosen(&found, wanted, &place)?;
        let Some(now) = now.into_iter().find(|job| is_of(job, &life)) else {
            return Err(Failure::no_job(format!(
                "job {name} is gone; another job uses its profile now"
            )));
        };
        let answer = now.record().and_then(|record| record.request.as_ref());
        let answer = answer.filter(|answer| *answer.id == *request.id);
        let text = answer.and_then(|answer| answer.text.as_deref());
        let text = text.unwrap_or_default();
        match answer.map(|answer| answer.state) {
            Some(RequestState::Done) => {
                console.step(&format!("job {name}: {text}"));
                return Ok(0);
            }
            Some(RequestState::Failed) => {
                return Err(Failure::service(format!(
                    "job {name} could not restart all of its engines"
                ))
                .because(text)
                .hint(format!(
                    "{} shows where its logs are",
                    shown_by(&found, &now)
                )));
            }
            _ => {}
        }
        if now.state.is_over() || now.state == State::Stopping {
            let state = now.state.word();
            return Err(Failure::service(format!("job {name} is {state}")).because(note(&now)));
        }
        if asked.elapsed() >= options.timeout {
            let shown_by = shown_by(&found, &now);
            return Err(late(&name, answer.is_some(), options.timeout, &shown_by));
        }
    }
}

/// The job that is meant: the one that is named, else the one that this runs in, else the only one that lives.
pub(super) fn meant(
    found: &Found,
    wanted: Option<&target::Job>,
    own: Option<&str>,
    place: &str,
) -> Outcome<Job> {
    let mut jobs = jobs::chosen(found, wanted, place)?;
    if wanted.is_some() {
        return the_one(found, jobs);
    }
    if let Some(life) = own {
        let job = jobs.into_iter().find(|job| is_of(job, life));
        return job.ok_or_else(|| {
            Failure::no_job(format!("the record of this job, {life}, cannot be found"))
                .hint("name the job; `ipjob status` lists your jobs")
        });
    }
    jobs.retain(|job| !job.state.is_over() && job.state != State::Pending);
    match jobs.len() {
        0 => Err(
            Failure::no_job(format!("you have no running job on {place}"))
                .hint(format!("{} lists your jobs", found.status())),
        ),
        1 => Ok(jobs.remove(0)),
        _ => {
            let words = jobs::words(&jobs);
            Err(Failure::usage(format!(
                "which job? These are running: {}",
                words.join(", ")
            ))
            .hint(match &found.asked {
                Some(host) => format!("name one of them, as {}:{}", host.as_str(), words[0]),
                None => "name one of them".to_owned(),
            }))
        }
    }
}

fn is_of(job: &Job, life: &str) -> bool {
    job.record()
        .and_then(|record| record.incarnation.id.as_deref())
        == Some(life)
}

/// Where the job's ipjob reads requests, and its life.
fn addressee(job: &Job) -> Outcome<(String, String)> {
    let name = job.full_name();
    match job.state {
        State::Starting | State::Ready | State::Degraded | State::Unknown => {}
        State::Ended | State::Dead => {
            return Err(
                Failure::no_job(format!("job {name} is {}", job.state.word())).because(note(job)),
            );
        }
        State::Pending | State::Stopping => {
            return Err(
                Failure::service(format!("job {name} is {}", job.state.word())).because(note(job)),
            );
        }
    }
    let told = |record: &Record| {
        let dir = Path::new(record.profile.dir.as_deref()?);
        let path = profile::request(dir, record.job.restart.unwrap_or_default());
        let life = record.incarnation.id.as_ref()?;
        Some((path.display().to_string(), life.to_string()))
    };
    job.record().and_then(told).ok_or_else(|| {
        Failure::no_job(format!(
            "job {name} has no record, so it may not be an ipjob job"
        ))
        .because(note(job))
    })
}

/// An id that no other request of the user's has.
fn new_id() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = now.unwrap_or_default().as_nanos();
    format!("{nanoseconds:x}-{}", std::process::id())
}

fn ask(search: &mut Search, path: &str, life: &str, request: &Request, name: &str) -> Outcome<()> {
    let Err(words) = give(search, &["request", path, life, &request.line()])? else {
        return Ok(());
    };
    let text = format!("job {name} could not be asked");
    Err(Failure::new(Kind::Service, text).because(words))
}

fn late(name: &str, heard: bool, timeout: Duration, shown_by: &str) -> Failure {
    let seconds = timeout.as_secs();
    if heard {
        Failure::not_ready(format!(
            "job {name} does not have all of its engines back after {seconds} s"
        ))
        .hint(format!(
            "it keeps trying: {shown_by} shows its progress; --timeout waits longer"
        ))
    } else {
        Failure::not_ready(format!("job {name} has not answered for {seconds} s")).hint(
            "its ipjob reads requests in its profile directory: does that file system answer on its node?",
        )
    }
}
