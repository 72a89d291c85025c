//! The numbers of a job's steps. They begin at 0 again when a job is requeued, and Slurm's daemons know a step by nothing else:
//! seen with Slurm 22.05, the slurmstepd of an earlier life (mpi/pmi2, a minute after its srun was cut off: "failed to
//! send temp kvs to srun") killed step 0 of the later one.

use std::path::Path;
use std::process::{Command, Stdio};

/// After so many lives a number may come again: the one before the last is long gone.
const CYCLE: u32 = 3;

/// Uses up step numbers, so that the engines' step has another one than that of the life before. A failure is of no matter here:
/// the engines' own srun meets the same one and tells it.
pub fn skip(srun: &Path, restart: u32) {
    for _ in 0..restart % CYCLE {
        let _ = Command::new(srun)
            .args([
                "--overlap",
                "--export=ALL",
                "--nodes=1",
                "--ntasks=1",
                "--mpi=none",
                "--immediate=10",
                "--quiet",
                "true",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}
