//! Engines as forks of one Python.

use super::engine_command::EngineCommand;
use super::{Context, srun_variables};
use crate::plan::World;
use crate::plan::name::Name;
use crate::plan::service::Process;
use crate::plan::settings::{EngineStart, Launcher};
use crate::plan::task_lines::NotImported;
use core::fmt;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An engine as the program that forks it reads of it.
#[derive(Debug, Serialize)]
pub struct Forked<'a> {
    /// The id that it asks the hub for.
    pub id: u32,
    /// Where its output goes: a file that is there.
    pub log: &'a std::path::Path,
    /// Variables that it gets.
    pub set: BTreeMap<&'a str, &'a str>,
    /// Variables that it does not get.
    pub dropped: &'a [String],
    /// The CPUs that it is bound to; none where it is bound to no others than its Python.
    pub cpus: Vec<u32>,
}

/// What the program that forks them tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It forked an engine.
    Engine {
        /// Its id.
        id: u32,
        /// Its process id.
        pid: u32,
    },
    /// It forks none, because of this.
    Exec(String),
    /// A module could not be imported beforehand.
    NotImported(NotImported),
}

impl Said {
    /// Reads a line of it: `engine 3 pid 117`, `exec 2 threads run`.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        if let Some(why) = line.strip_prefix("exec ") {
            return Some(Self::Exec(why.to_owned()));
        }
        if let Some(told) = NotImported::read(line) {
            return Some(Self::NotImported(told));
        }
        let words: Vec<&str> = line.split(' ').collect();
        let ["engine", id, "pid", pid] = words[..] else {
            return None;
        };
        Some(Self::Engine {
            id: id.parse().ok()?,
            pid: pid.parse().ok()?,
        })
    }
}

/// How engines come to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// This Python forks those of its node.
    Fork(PathBuf),
    /// Each is a Python of its own; where forks would have been taken, because of this.
    Exec(Option<String>),
}

impl Creation {
    /// The Python that forks them.
    #[must_use]
    pub fn python(&self) -> Option<&Path> {
        match self {
            Self::Fork(python) => Some(python),
            Self::Exec(_) => None,
        }
    }

    /// What speaks against a fork.
    #[must_use]
    pub fn hindrance(&self) -> Option<&str> {
        match self {
            Self::Exec(why) => why.as_deref(),
            Self::Fork(_) => None,
        }
    }
}

impl fmt::Display for Creation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork(python) => write!(out, "fork, by {}", python.display()),
            Self::Exec(None) => out.write_str("exec"),
            Self::Exec(Some(why)) => write!(out, "exec ({NOT_FORKED}: {why})"),
        }
    }
}

/// How engines come to be.
pub fn creation(context: &Context, launcher: Launcher) -> Creation {
    if context.settings.engine_start == EngineStart::Exec {
        return Creation::Exec(None);
    }
    let found = match launcher {
        Launcher::Local if context.settings.engine_wrapper.is_empty() => python(context),
        Launcher::Local => {
            Err("--engine-wrapper runs each of them in a command of its own".to_owned())
        }
        // Each task of the step has it forked.
        Launcher::Srun => in_a_step(context),
        Launcher::Mpiexec => in_tasks(context),
        Launcher::Ranks => Err(
            "engines are forked by the launchers local, srun and mpiexec, not by ranks".to_owned(),
        ),
    };
    match found {
        Ok(python) => Creation::Fork(python),
        Err(why) => Creation::Exec(Some(why)),
    }
}

/// How it is said that engines are no forks, before the reason.
pub const NOT_FORKED: &str = "engines are not forked, which only makes their start slower";

/// The one program that becomes all engines of this machine, which this Python runs: the script `ipengine` with the same arguments as
/// each engine of its own would.
pub fn fork(context: &Context, python: PathBuf) -> Process {
    let command = EngineCommand::new(context, true);
    let mut args = vec![
        context.profile.fork_program().display().to_string(),
        context.profile.fork_order().display().to_string(),
        command.ipengine.display().to_string(),
    ];
    args.extend(command.args(false));
    Process {
        program: python,
        args,
        log: context
            .profile
            .log_dir()
            .join(format!("ipjob-{}.log", Name::Engines)),
    }
}

/// The Python of `ipengine`; else why there is none.
fn python(context: &Context) -> Result<PathBuf, String> {
    context.here.engine_python.clone().ok_or_else(|| {
        let ipengine = context.here.ipengine.display();
        format!("the first line of {ipengine} names no Python that could fork them")
    })
}

/// The Python that forks the engines of a step, on each node those of its own; else why there is none.
fn in_a_step(context: &Context) -> Result<PathBuf, String> {
    let slurm = context.allocation.slurm.as_ref();
    if let Some(World::Type(name)) = context.here.srun.as_ref().map(|srun| &srun.mpi)
        && !is_handed_on(name)
    {
        return Err(format!(
            "ipjob does not know how `srun --mpi={name}` gives its world to a task, so a fork of another task would not have it"
        ));
    }
    if slurm.is_some_and(|slurm| !slurm.components.is_empty()) {
        let why = "engines of a step over components of a heterogeneous job are not forked";
        return Err(why.to_owned());
    }
    if let Some(what) = of_one_task(context) {
        return Err(format!(
            "{what} gives each task something that a fork of another task would not get"
        ));
    }
    in_tasks(context)
}

/// The Python that forks the engines of tasks, whoever starts them; else why there is none.
fn in_tasks(context: &Context) -> Result<PathBuf, String> {
    if !context.settings.engine_wrapper.is_empty() {
        return Err("--engine-wrapper puts a command between each task and its engine".to_owned());
    }
    python(context)
}

/// Whether a task can hand on what this type of `srun --mpi` gives it. What other types give, such as Cray's, was not to be tried. A
/// default's type is not known here: each task looks at what it was given.
fn is_handed_on(mpi: &str) -> bool {
    mpi == "pmi2" || mpi == "pmix" || mpi.starts_with("pmix_")
}

/// Arguments of srun, and the variables that reach it and say the same, with which Slurm gives a task more than its environment and
/// its CPUs tell: devices of its own, or a policy for memory.
const OF_ONE_TASK: &[(&str, Option<&str>)] = &[
    ("--gpus-per-task", None),
    ("--ntasks-per-gpu", None),
    ("--gpu-bind", Some("SLURM_GPU_BIND")),
    ("--tres-per-task", None),
    ("--tres-bind", Some("SLURM_TRES_BIND")),
    ("--mem-bind", None),
];

/// The first of these that holds for the step, if any.
fn of_one_task(context: &Context) -> Option<&'static str> {
    let given = |option: &str| {
        let args = &context.settings.srun_args;
        args.iter()
            .any(|arg| arg.split('=').next() == Some(option) && !is_none(arg))
    };
    let environment = &context.here.environment;
    let slurm = context.allocation.slurm.as_ref();
    let dropped = srun_variables::dropped(environment, slurm);
    let set = |variable: &str| {
        let reaches = |(name, value): &(String, String)| {
            name == variable && !dropped.contains(name) && !is_none(value)
        };
        environment.iter().any(reaches)
    };
    if slurm.is_some_and(|slurm| slurm.gpus_of_each(context.engines).is_some()) {
        return Some("--gpus-per-task");
    }
    OF_ONE_TASK
        .iter()
        .find(|(option, variable)| given(option) || variable.is_some_and(set))
        .map(|(option, _)| *option)
}

/// The same without what is about memory: by what Slurm gives each task devices of its own.
pub fn devices_of_one_task(context: &Context) -> Option<&'static str> {
    of_one_task(context).filter(|what| *what != "--mem-bind")
}

/// Whether a binding is none: `none`, `--mem-bind=quiet,none`.
fn is_none(text: &str) -> bool {
    text.is_empty() || text.ends_with("none")
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn what_the_forking_program_tells_is_read() {
        let engine = Said::Engine { id: 3, pid: 117 };
        assert_eq!(Said::read("engine 3 pid 117"), Some(engine));
        let exec = Said::Exec("2 threads run".to_owned());
        assert_eq!(Said::read("exec 2 threads run"), Some(exec));
        for other in ["", "engine x pid 1", "engine 3", "a line of somebody else"] {
            assert_eq!(Said::read(other), None, "{other}");
        }
    }
}
