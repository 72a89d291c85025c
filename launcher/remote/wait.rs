//! `ipjob wait`: until a job is ready, or has ended.

use super::find::{Found, Search};
use super::job_state::State;
use super::jobs::Job;
use super::restart::meant;
use super::stop::{CACHED, ended, note, pause, shown_by};
use super::target::{self, Target, place};
use crate::cli::jobs::{Moment, WaitOptions};
use crate::failure::{Failure, Outcome};
use crate::here::os::own_time::OwnTime;
use crate::plan::incarnation::INCARNATION_VARIABLE;
use crate::report::console::Console;
use std::time::Duration;

/// Waits for the job.
pub fn run(options: &WaitOptions, console: &Console) -> Outcome<u8> {
    let target = Target::read(options.target.as_deref().unwrap_or_default())?;
    let own = std::env::var(INCARNATION_VARIABLE).ok();
    let own = own.filter(|_| target.host.is_none() && target.job.is_none());
    let place = place(target.host.as_ref());
    let mut search = Search::begin(target.host.as_ref(), target.job.as_ref())?;
    let mut found = search.found()?;
    let mut wanted = target.job;
    let begun = OwnTime::now();
    let mut shown = None;
    let mut dead_since = None;
    loop {
        let job = meant(&found, wanted.as_ref(), own.as_deref(), &place)?;
        // From now on it is this one, whatever else begins.
        wanted = wanted.or_else(|| job.profile.clone().map(target::Job::Profile));
        let dead = job.state == State::Dead;
        dead_since = dead.then(|| dead_since.unwrap_or_else(OwnTime::now));
        // Slurm may tell of an end before the record that says it is seen.
        let is_gone = dead_since.is_some_and(|since| job.id.is_none() || since.elapsed() >= CACHED);
        match (options.moment, job.state) {
            (Moment::Ready, State::Ready | State::Degraded) | (Moment::Ended, State::Ended) => {
                console.step(&reached(&job));
                return Ok(0);
            }
            (Moment::Ready, State::Ended | State::Stopping) => return Err(unready(&found, &job)),
            (Moment::Ready, State::Dead) if is_gone => return Err(unready(&found, &job)),
            (Moment::Ended, State::Dead) if is_gone => {
                return Err(Failure::service(format!(
                    "job {} is gone and did not say that it ended",
                    job.full_name()
                ))
                .because(note(&job))
                .hint(format!(
                    "see its logs: {} shows where its record is",
                    shown_by(&found, &job)
                )));
            }
            (_, state) if shown != Some(state) => {
                console.step(&format!("job {} is {}", job.full_name(), state.word()));
                shown = Some(state);
            }
            _ => {}
        }
        let left = options
            .timeout
            .map(|limit| limit.saturating_sub(begun.elapsed()));
        if left == Some(Duration::ZERO) {
            return Err(Failure::not_ready(format!(
                "job {} is still {}",
                job.full_name(),
                job.state.word()
            ))
            .hint(format!(
                "a longer --timeout waits longer, and without --timeout there is no limit; {} shows what is known about the job",
                shown_by(&found, &job)
            )));
        }
        pause(begun, left.unwrap_or(Duration::MAX));
        found = search.again()?;
    }
}

fn reached(job: &Job) -> String {
    match job.state {
        State::Ended => format!("{} has ended: {}", ended(job), note(job)),
        state => format!("job {} is {}", job.full_name(), state.word()),
    }
}

/// It is not ready, and will not be.
fn unready(found: &Found, job: &Job) -> Failure {
    Failure::not_ready(format!("job {} is {}", job.full_name(), job.state.word()))
        .because(note(job))
        .hint(format!(
            "see its logs: {} shows where its record is",
            shown_by(found, job)
        ))
}
