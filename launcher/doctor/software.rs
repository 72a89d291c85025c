//! Programs and their versions.

use super::finding::Finding;
use crate::failure::{Failure, Outcome};
use crate::here::os::run_program::ask;
use crate::here::site::{programs, versions};
use crate::plan::version::{self, Version};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Slurm's programs that ipjob uses.
const SLURM: [&str; 4] = ["srun", "squeue", "scancel", "scontrol"];

/// How long a program may take to tell its version: a cold Python on a busy file system needs its time.
const LIMIT: Duration = Duration::from_secs(30);

/// The programs that were found and that other checks need.
#[derive(Clone, Debug, Default)]
pub struct Software {
    /// `ipengine`.
    pub ipengine: Option<PathBuf>,
    /// `srun`.
    pub srun: Option<PathBuf>,
    /// Whether there are programs of Slurm.
    pub slurm: bool,
}

/// Looks for every program; inside a job those of Slurm must be there.
pub fn look(in_a_job: bool, findings: &mut Vec<Finding>) -> Software {
    let mut found = Software::default();
    for (program, package) in [
        ("ipcontroller", "ipyparallel"),
        ("ipengine", "ipyparallel"),
        ("jupyter-lab", "jupyterlab"),
    ] {
        let path = python_program(program, package, findings);
        if program == "ipengine" {
            found.ipengine = path;
        }
    }
    let present: Vec<PathBuf> = SLURM
        .iter()
        .filter_map(|program| programs::find_slurms(program).ok())
        .collect();
    if present.is_empty() && !in_a_job {
        findings.push(Finding::note(
            "slurm",
            "no program of Slurm is on PATH here",
        ));
        return found;
    }
    found.slurm = true;
    for program in SLURM {
        match programs::find_slurms(program) {
            Ok(path) => {
                if program == "srun" {
                    found.srun = Some(path.clone());
                }
                findings.push(Finding::ok(
                    program,
                    format!("{} ({})", path.display(), slurm_version(&path)),
                ));
            }
            Err(failure) => findings.push(of_failure(program, &failure)),
        }
    }
    found
}

/// Finds a console script and the version of its package.
fn python_program(program: &str, package: &str, findings: &mut Vec<Finding>) -> Option<PathBuf> {
    let seen = programs::find(program, package).and_then(|path| {
        let version = version(&path, package)?;
        if package == "ipyparallel" {
            version::check_ipyparallel(&version)?;
        }
        Ok((path, version))
    });
    match seen {
        Ok((path, version)) => {
            findings.push(Finding::ok(
                program,
                format!("{} ({package} {version})", path.display()),
            ));
            Some(path)
        }
        Err(failure) => {
            findings.push(of_failure(program, &failure));
            None
        }
    }
}

/// The version that the files tell, or the program itself.
fn version(program: &Path, package: &str) -> Outcome<Version> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failure::missing("no program can be asked").because(error))?;
    runtime.block_on(versions::of(program, package, LIMIT))
}

fn of_failure(subject: &str, failure: &Failure) -> Finding {
    Finding::problem(
        subject,
        &failure.message,
        failure.hints.first().map_or("install it", String::as_str),
    )
}

fn slurm_version(program: &Path) -> String {
    let answer = ask(
        Command::new(program).arg("--version"),
        Duration::from_secs(10),
    );
    answer
        .output
        .lines()
        .next()
        .unwrap_or("?")
        .trim()
        .to_owned()
}
