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
use crate::here::os::affinity;
use crate::here::os::memory::Memory;
use crate::here::profile::directory;
use crate::here::site::{identity, topology};
use crate::plan::services::{
    CONNECTION_INFO, NO_NANNY, PRELOAD_VARIABLE, Succession, WITHOUT_PRELOAD, cannot_bind,
};
use crate::plan::settings::Preload;
use crate::plan::share::{Node, Provision};
use crate::plan::task_lines::{NotForked, Report, Unbound};
use crate::plan::task_place::TaskPlace;
use crate::plan::{bind, slurm, threads};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What an engine is given of its node, where its task finds it out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// How many threads its libraries may start.
    pub threads: Option<threads::Rule>,
    /// What it is bound to.
    pub bind: Option<bind::Rule>,
}

/// What an engine needs to be forked.
#[derive(Clone, Copy, Debug)]
pub struct Forking<'a> {
    /// The Python that forks the engines of its node.
    pub python: &'a Path,
    /// Whether it has no nanny where it is no fork after all.
    pub alone_without_nanny: bool,
}

impl Rules {
    /// What that is here.
    fn provision(self, again: Option<&Succession>) -> Outcome<Provision> {
        let environment = environment();
        let machine = topology::machine(self.bind.is_some(), &environment)?;
        let mut place = TaskPlace {
            is_bound: machine.is_bound,
            ..TaskPlace::read(&environment)
        };
        if let Some(who) = again {
            (place.index, place.tasks) = (Some(who.local), Some(who.tasks));
        }
        let node = Node {
            environment: &environment,
            place,
            machine: &machine,
        };
        Provision::of(self.threads, self.bind, &node).map_err(|why| {
            let rule = self.bind.map(|rule| rule.to_string());
            cannot_bind(&rule.unwrap_or_default(), &why)
        })
    }
}

/// The number that whoever started us has given us among all.
fn rank() -> u32 {
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
    ranks.into_iter().find_map(number).unwrap_or(0)
}

/// Reports and becomes the command, or runs it; or has it forked by this Python, where one is given and can. With the limit of
/// `--idle-timeout` the node is watched for rest. `again` says which engine it is where its rank does not, and
/// `rules` what it is given of its node.
pub fn run(
    fork: Option<Forking>,
    idle_limit_ms: Option<u64>,
    again: Option<&Succession>,
    rules: Rules,
    command: &[String],
) -> Outcome<u8> {
    let Some((program, args)) = command.split_first() else {
        return Err(Failure::usage("`ipjob engine` needs a command after `--`"));
    };
    let rank = again.map_or_else(rank, |who| who.id);
    let node = env::var("SLURMD_NODENAME").unwrap_or_else(|_| identity::host());
    let cannot_run = |error: std::io::Error| {
        Failure::missing(format!("{program} cannot be run on {node}")).because(error)
    };
    let provision = rules.provision(again)?;
    let report = |pid: u32| {
        let report = Report {
            rank,
            node: node.clone(),
            pid,
            step: step(),
            memory: Memory::limit_here(),
            share: provision.share.clone(),
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
    if let Some(why) = provision.remark.clone() {
        let node = node.clone();
        task::tell(&Unbound { node, why }.line());
    }
    if let Some(cpus) = &provision.share.cpus {
        affinity::bind(cpus).map_err(|error| {
            Failure::missing(format!(
                "an engine cannot be bound to CPUs {cpus} on {node}"
            ))
            .because(error)
        })?;
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
    for name in &provision.dropped {
        command.env_remove(name);
    }
    command.envs(provision.set.iter().map(|(name, text)| (name, text)));
    // The --label of the engines' srun: an srun that the engine runs would label its lines as well.
    command.env_remove("SLURM_LABELIO");
    // In an MPI world the rank is the id by itself.
    if !args.iter().any(|arg| arg == "--mpi") {
        command.arg(format!("--IPEngine.id={rank}"));
    }
    match &private {
        Some(private) => command.env("IPYTHONDIR", private.path()),
        // A shared profile has the connection file; a second way to the same would only confuse.
        None => command.env_remove(CONNECTION_INFO),
    };
    // Of one that this node lacks the error is said as where it is started by itself.
    if let Some(fork) = fork.filter(|_| Path::new(program).exists()) {
        match forked::run(fork.python, rank, &command, args, &node, report) {
            Ok(status) => {
                drop(private);
                return Ok(exit_like::like(status));
            }
            Err(refusal) => {
                let mut why = refusal.why;
                let is_default = env::var(PRELOAD_VARIABLE).ok() == Preload::Auto.order();
                if refusal.broke && is_default {
                    // It may be what broke it, and nobody has asked for it.
                    command.env_remove(PRELOAD_VARIABLE);
                    if !why.is_empty() {
                        why.push_str(WITHOUT_PRELOAD);
                    }
                }
                if fork.alone_without_nanny {
                    command.arg(NO_NANNY);
                }
                let node = node.clone();
                task::tell_not_forked(&NotForked { node, why });
            }
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
    slurm::step_name(&job, &env::var("SLURM_STEP_ID").ok()?)
}
