//! `ipjob engine`: what every task of the engines' step runs through. It reports who it is into the step's log and becomes
//! ipengine, or has it forked. Where the profile directory is not this node's, it makes a private one and stays as the engine's parent, to
//! remove it again.

mod exit_like;
#[cfg_attr(not(target_os = "linux"), path = "engine/unsupported.rs")]
mod forked;
pub mod idle_watch;
#[cfg(target_os = "linux")]
mod pmi;
pub mod predecessor;
pub mod private_profile;
pub mod signal_proxy;
pub mod task;

use crate::engine::private_profile::PrivateProfile;
use crate::failure::{Failure, Outcome};
use crate::here::os::memory::Memory;
use crate::here::profile::directory;
use crate::here::site::identity;
use crate::plan::services::{CONNECTION_INFO, Succession};
use crate::plan::share::Share;
use crate::plan::task_lines::{NotForked, Report};
use crate::plan::threads::{self, Rule};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Reports and becomes the command, or runs it; or has it forked by this Python, where one is given and can. With the limit of
/// `--idle-timeout` the node is watched for rest. `again` says which engine it is where its rank does not, and
/// `threads` how many its libraries may start.
pub fn run(
    fork: Option<&Path>,
    idle_limit_ms: Option<u64>,
    again: Option<&Succession>,
    threads: Option<Rule>,
    command: &[String],
) -> Outcome<u8> {
    let Some((program, args)) = command.split_first() else {
        return Err(Failure::usage("`ipjob engine` needs a command after `--`"));
    };
    let number = |name: &str| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
    };
    // Below mpiexec in a batch script SLURM_PROCID is the script's own, 0 for all; srun's own types of MPI agree with it.
    let ranks = [
        "OMPI_COMM_WORLD_RANK",
        "PMI_RANK",
        "PMIX_RANK",
        "SLURM_PROCID",
    ];
    let rank = match again {
        Some(who) => who.id,
        None => ranks.into_iter().find_map(number).unwrap_or(0),
    };
    let node = env::var("SLURMD_NODENAME").unwrap_or_else(|_| identity::host());
    let cannot_run = |error: std::io::Error| {
        Failure::missing(format!("{program} cannot be run on {node}")).because(error)
    };
    let number = threads.and_then(|rule| rule.number(&environment(), identity::cpus()));
    let share = Share { threads: number };
    let report = |pid: u32| {
        let report = Report {
            rank,
            node: node.clone(),
            pid,
            step: step(),
            memory: Memory::limit_here(),
            share: share.clone(),
        };
        task::tell(&report.line());
    };
    // Before anything is started.
    if let Some(left) = directory::leave_open_directory()? {
        task::tell(&left);
    }
    if let Some(who) = again {
        predecessor::end(who);
    }
    if let Some(limit) = idle_limit_ms
        && again.is_none_or(|who| who.local == 0)
    {
        idle_watch::start(limit, &node);
    }
    let private = PrivateProfile::where_not_shared(args, &node)?;
    let mut command = Command::new(program);
    match &private {
        Some(private) => command.args(private.arguments(args)),
        None => command.args(args),
    };
    if let Some(who) = again {
        // As the first step had them: wrappers choose GPUs, and programs their seeds, by these.
        command.env("SLURM_PROCID", who.id.to_string());
        command.env("SLURM_LOCALID", who.local.to_string());
    }
    command.envs(number.into_iter().flat_map(threads::variables));
    // In an MPI world the rank is the id by itself.
    if !args.iter().any(|arg| arg == "--mpi") {
        command.arg(format!("--IPEngine.id={rank}"));
    }
    match &private {
        Some(private) => command.env("IPYTHONDIR", private.path()),
        // A shared profile has the connection file; a second way to the same would only confuse.
        None => command.env_remove(CONNECTION_INFO),
    };
    if let Some(python) = fork {
        match forked::run(python, rank, &command, args, &node, report) {
            Ok(status) => {
                drop(private);
                return Ok(exit_like::like(status));
            }
            Err(why) => task::tell_not_forked(&NotForked {
                node: node.clone(),
                why,
            }),
        }
    }
    let Some(private) = private else {
        report(std::process::id());
        return Err(cannot_run(command.exec()));
    };
    let code = signal_proxy::run(&mut command, report).map_err(cannot_run);
    drop(private);
    code
}

/// Our variables as text.
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    };
    env::vars_os().map(text).collect()
}

/// The step as Slurm names it: `123.0`.
fn step() -> Option<String> {
    let job = env::var("SLURM_JOB_ID").ok()?;
    let step = env::var("SLURM_STEP_ID").ok()?;
    Some(format!("{job}.{step}"))
}
