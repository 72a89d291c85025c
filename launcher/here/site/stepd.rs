//! What Slurm started that we are a part of. A batch script that was submitted inside a step inherits that step's variables; the
//! slurmstepd above us tells the truth.

use crate::here::os::process;

/// Processes above us that are looked at.
const MOST: usize = 100;

/// How the names of variables begin by which tasks of a step know it.
const OF_STEPS: [&str; 2] = ["SLURM_STEP_", "SLURM_STEPID"];

/// Removes the variables of an outer step where a batch script started us.
pub fn without_outer_step(environment: &mut Vec<(String, String)>) {
    let is_of_a_step = |name: &str| OF_STEPS.iter().any(|start| name.starts_with(start));
    let tells_of_one = environment.iter().any(|(name, _)| is_of_a_step(name));
    if tells_of_one && title_above().is_some_and(|title| is_batch(&title)) {
        environment.retain(|(name, _)| !is_of_a_step(name));
    }
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

#[cfg(test)]
mod tests {
    use super::is_batch;

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
}
