//! `ipjob engine`: what every task of the engines' step runs through. It reports who it is into the step's log and becomes
//! ipengine.

use crate::failure::{Failure, Outcome};
use crate::here::identity;
use crate::plan::report::Report;
use crate::report::task;
use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Reports and becomes the command; returns only when it cannot.
pub fn run(command: &[String]) -> Outcome<u8> {
    let Some((program, args)) = command.split_first() else {
        return Err(Failure::usage("`ipjob engine` needs a command after `--`"));
    };
    let number = |name: &str| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
    };
    // Below mpiexec in a batch script SLURM_PROCID is the script's own, 0 for all; srun's own types of MPI agree with it.
    let rank = [
        "OMPI_COMM_WORLD_RANK",
        "PMI_RANK",
        "PMIX_RANK",
        "SLURM_PROCID",
    ]
    .into_iter()
    .find_map(number)
    .unwrap_or(0);
    let report = Report {
        rank,
        node: env::var("SLURMD_NODENAME").unwrap_or_else(|_| identity::host()),
        pid: std::process::id(),
        step: step(),
    };
    task::tell(&report);
    let mut command = Command::new(program);
    command.args(args);
    // In an MPI world the rank is the id by itself.
    if !args.iter().any(|arg| arg == "--mpi") {
        command.arg(format!("--IPEngine.id={rank}"));
    }
    let error = command.exec();
    Err(Failure::missing(format!("{program} cannot be run on {}", report.node)).because(error))
}

/// The step as Slurm names it: `123.0`.
fn step() -> Option<String> {
    let job = env::var("SLURM_JOB_ID").ok()?;
    let step = env::var("SLURM_STEP_ID").ok()?;
    Some(format!("{job}.{step}"))
}
