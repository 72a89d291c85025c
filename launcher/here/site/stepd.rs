//! What Slurm started that we are a part of. A batch script that was submitted inside a step inherits that step's variables; the
//! slurmstepd above us tells the truth.

use crate::here::os::process;
use std::ffi::OsStr;

/// Processes above us that are looked at.
const MOST: usize = 100;

/// How the names of variables begin by which tasks of a step know it.
const OF_STEPS: [&str; 2] = ["SLURM_STEP_", "SLURM_STEPID"];

/// Removes the variables of an outer step where a batch script started us.
pub fn without_outer_step(environment: &mut Vec<(String, String)>) {
    let tells_of_one = environment.iter().any(|(name, _)| names_a_step(name));
    if tells_of_one && title_above().is_some_and(|title| is_batch(&title)) {
        environment.retain(|(name, _)| !names_a_step(name));
    }
}

/// Whether tasks of a step know it by a variable of this name.
#[must_use]
pub fn names_a_step(name: impl AsRef<OsStr>) -> bool {
    let name = name.as_ref().as_encoded_bytes();
    OF_STEPS
        .iter()
        .any(|start| name.starts_with(start.as_bytes()))
}

/// Whether a slurmstepd of this job is above us: all that it has started ends with its tasks.
#[must_use]
pub fn is_of_job(number: &str) -> bool {
    title_above().is_some_and(|title| job_of(&title) == Some(number))
}

/// The title of the nearest slurmstepd above us: `slurmstepd: [12.batch]`.
fn title_above() -> Option<String> {
    let mut pid = std::process::id();
    for _ in 0..MOST {
        pid = process::stat(pid)?.parent;
        if process::name(pid).starts_with("slurmstepd") {
            return process::arguments(pid).into_iter().next();
        }
    }
    None
}

fn is_batch(title: &str) -> bool {
    title.ends_with(".batch]")
}

/// The job's number; a component of a heterogeneous job has none (`12+1.0`).
fn job_of(title: &str) -> Option<&str> {
    Some(title.split_once('[')?.1.split_once('.')?.0)
}

#[cfg(test)]
mod tests {
    use super::{is_batch, job_of};

    #[test]
    fn a_batch_script_is_told_from_a_step() {
        assert!(is_batch("slurmstepd: [12.batch]"));
        for title in [
            "slurmstepd: [12.0]",
            "slurmstepd: [12.extern]",
            "slurmstepd: [12.interactive]",
            "slurmstepd",
            "",
        ] {
            assert!(!is_batch(title), "{title}");
        }
    }

    #[test]
    fn the_job_of_a_slurmstepd_is_read() {
        for (title, job) in [
            ("slurmstepd: [12.batch]", Some("12")),
            ("slurmstepd: [12.0]", Some("12")),
            ("slurmstepd: [12+1.0]", Some("12+1")),
            ("slurmstepd", None),
            ("slurmstepd: [12", None),
        ] {
            assert_eq!(job_of(title), job, "{title}");
        }
    }
}
