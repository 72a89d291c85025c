//! The numbers of a job's steps. They begin at 0 again when a job is requeued, and Slurm's daemons know a step by nothing else:
//! seen with Slurm 22.05, the slurmstepd of an earlier life (mpi/pmi2, a minute after its srun was cut off: "failed to
//! send temp kvs to srun") killed step 0 of the later one.

use crate::here::os::run_program::ask;
use crate::plan::name::Name;
use crate::plan::settings::Launcher;
use crate::plan::{Plan, services};
use std::process::Command;
use std::time::Duration;

/// After so many lives a number may come again: the one before the last is long gone.
const CYCLE: u32 = 3;

/// How long one may take: a request to stop waits for it.
const LIMIT: Duration = Duration::from_secs(5);

/// Uses up step numbers, so that the engines' step has another one than that of the life before: each with the engines' own
/// environment, so that what the shell has left for srun does not fail it. What else can fail it the engines' own srun meets too, and
/// tells.
pub fn skip(plan: &Plan) {
    let Some(engines) = plan.service(Name::Engines) else {
        return;
    };
    let Some(srun) = engines.processes.first() else {
        return;
    };
    if plan.launcher != Launcher::Srun {
        return;
    }
    for _ in 0..plan.allocation.restart % CYCLE {
        let mut step = Command::new(&srun.program);
        for variable in &engines.environment.dropped {
            step.env_remove(variable);
        }
        let slurm = plan.allocation.slurm.as_ref();
        step.args(slurm.map(services::shared).unwrap_or_default());
        step.args([
            "--nodes=1",
            "--ntasks=1",
            "--mpi=none",
            "--immediate=5",
            "--quiet",
            "true",
        ]);
        let _ = ask(&mut step, LIMIT);
    }
}
