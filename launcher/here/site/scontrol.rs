//! What Slurm's controller tells before the job starts. It may be down, and then its programs hang for minutes.

use super::{identity, programs};
use crate::failure::{Failure, Outcome};
use crate::here::os::run_program;
use crate::plan::slurm::{self, Asked, Config, Slurm};
use std::process::Command;
use std::time::Duration;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(15);

/// The Slurm job that these variables describe, with what it asked for, which Slurm is asked: the variables can be another job's,
/// and inside a step they tell of the step only.
pub fn job(environment: &[(String, String)]) -> Outcome<Option<Slurm>> {
    let slurm = Slurm::read(environment)?;
    Ok(slurm.map(|slurm| {
        let slurm = with_cluster(slurm, environment);
        let told = ask(&["--oneliner", "--details", "show", "job", slurm.job.name()]);
        match told.and_then(|text| Asked::read(&slurm.job, &text)) {
            Some(asked) => slurm.with_asked(asked, environment),
            None => slurm,
        }
    }))
}

/// The job of this id, seen from outside of it.
pub fn job_from_outside(job: &str) -> Outcome<Slurm> {
    let program = programs::find_slurms("scontrol")?;
    let asks = ["--oneliner", "--details", "show", "job", job];
    let answer = run_program::ask(Command::new(program).args(asks), LIMIT);
    let text = match &answer {
        answer if answer.is_good() => answer.output.as_str(),
        // It is none of those that Slurm still knows.
        answer if answer.errors.contains("Invalid job id") => "",
        answer => {
            return Err(
                Failure::missing(format!("scontrol shows nothing about job {job}"))
                    .because(answer.reason())
                    .hint(format!("see what `scontrol show job {job}` says here")),
            );
        }
    };
    let told = slurm::variables(job, text)?;
    let slurm = Slurm::read(&told)?
        .map(|slurm| with_cluster(slurm, &told))
        .ok_or_else(|| Failure::missing(format!("scontrol shows no number of job {job}")))?;
    let slurm = match Asked::read(&slurm.job, text) {
        Some(asked) => slurm.with_asked(asked, &told),
        None => slurm,
    };
    Ok(Slurm {
        from_outside: true,
        submit_host: Some(identity::host()),
        ..slurm
    })
}

/// The job with its cluster's name. What srun starts from outside a job is not told it.
fn with_cluster(slurm: Slurm, environment: &[(String, String)]) -> Slurm {
    let is_told = environment
        .iter()
        .any(|(name, _)| name == "SLURM_CLUSTER_NAME");
    let config = if is_told { None } else { config() };
    match config.as_ref().and_then(|config| config.get("ClusterName")) {
        Some(name) => Slurm {
            cluster: name.to_owned(),
            ..slurm
        },
        None => slurm,
    }
}

/// The site's configuration.
#[must_use]
pub fn config() -> Option<Config> {
    Config::read(&ask(&["show", "config"])?)
}

/// What `scontrol` prints; `None` when it is not there, fails or takes too long.
fn ask(args: &[&str]) -> Option<String> {
    let program = programs::find_slurms("scontrol").ok()?;
    run_program::ask(Command::new(program).args(args), LIMIT).good()
}
