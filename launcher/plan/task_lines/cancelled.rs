//! A step that was cancelled. PURE.

/// Whether a line is slurmstepd's word that the step was cancelled, for no reason that Slurm itself has (`DUE TO ...`): somebody's
/// `scancel JOB.STEP`, or the job's end. `0: slurmstepd: error: *** STEP 4.0 ON node1 CANCELLED AT 2026-11-26T19:54:15 ***`
#[must_use]
pub fn is_cancelled(line: &str) -> bool {
    let words = line.split_once("*** STEP ").map(|(_, words)| words);
    words.is_some_and(|words| {
        words.contains(" CANCELLED AT ") && words.ends_with(" ***") && !words.contains(" DUE ")
    })
}

#[cfg(test)]
mod tests {
    use super::is_cancelled;

    #[test]
    fn a_cancelled_step_is_told_from_one_that_slurm_ends() {
        let line = |rest| {
            format!(
                "0: slurmstepd-node1: error: *** STEP 4.0 ON node1 CANCELLED AT 2026-11-26T19:54:15{rest} ***"
            )
        };
        assert!(is_cancelled(&line("")));
        assert!(!is_cancelled(&line(
            " DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS"
        )));
        assert!(!is_cancelled("srun: error: node1: task 0: Killed"));
    }
}
