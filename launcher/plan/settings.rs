//! What was asked: the run options after they were read from flags and variables, with their defaults filled in. What is said of the
//! words that an option takes is their help as well.

use super::heartbeat::ENGINE_PATIENCE_MS;
use super::name::Name;
use super::profile::ProfileName;
use super::wiring::Start;
use clap::ValueEnum;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Mode {
    /// Controller, engines and Jupyter
    Notebook,
    /// Controller and engines; with a COMMAND, until it exits
    ClusterOnly,
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Notebook => "notebook",
            Self::ClusterOnly => "cluster-only",
        })
    }
}

/// How engines are started (ipyparallel's word).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Launcher {
    /// As processes of this machine.
    Local,
    /// As one step of the Slurm job.
    Srun,
    /// By one mpiexec, or a site's own starter.
    Mpiexec,
    /// As the ranks that ipjob itself was started as.
    Ranks,
}

impl fmt::Display for Launcher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Local => "local",
            Self::Srun => "srun",
            Self::Mpiexec => "mpiexec",
            Self::Ranks => "ranks",
        })
    }
}

/// How a node's engines come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineStart {
    /// Like fork, unless something prevents it; -v, --dry-run and the record say what
    Auto,
    /// One Python per node imports ipyparallel and forks the engines, which is faster, takes less memory and opens fewer files. Falls
    /// back to exec with the launcher ranks, with types of srun --mpi other than pmi2 and pmix, and if modules run threads or hold a GPU
    Fork,
    /// Each engine starts as a separate Python process
    Exec,
}

/// What engines import before they count as ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preload {
    /// numpy, where it is installed.
    Auto,
    /// These modules, by their full names; none are `off`.
    Modules(Vec<String>),
}

impl Preload {
    /// As `engine/preload.py` reads it; `None` where nothing is imported.
    #[must_use]
    pub fn order(&self) -> Option<String> {
        match self {
            Self::Auto => Some("numpy?".to_owned()),
            Self::Modules(modules) => (!modules.is_empty()).then(|| modules.join(",")),
        }
    }
}

impl fmt::Display for Preload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("numpy, where it is installed"),
            Self::Modules(modules) if modules.is_empty() => out.write_str("off"),
            Self::Modules(modules) => out.write_str(&modules.join(", ")),
        }
    }
}

/// Whether engines form one MPI world, and how srun is to make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mpi {
    /// If ipengine's Python has mpi4py, with the type that fits its MPI library.
    Auto,
    /// No MPI: engines are independent.
    Off,
    /// With this type of `srun --mpi`.
    Type(String),
}

/// Whether every engine has a nanny: a second Python that relays signals to it, and reports its end to a hub that does not hear ipjob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Nanny {
    /// Yes, unless this machine has too little memory for them
    Auto,
    /// Yes
    On,
    /// No
    Off,
}

/// Which Jupyter is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frontend {
    /// `jupyter-lab`
    Lab,
    /// `jupyter-notebook`: Notebook 7, or the classic Notebook 6.
    Notebook,
    /// `jupyter-server`: no pages, for those who bring their own front end.
    Server,
    /// A program of the user's that takes a Jupyter server's arguments.
    Program(PathBuf),
}

/// First and last port of a range, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first port, at least 1.
    pub first: u16,
    /// The last port, not below the first.
    pub last: u16,
}

impl PortRange {
    /// The range that has this port alone.
    #[must_use]
    pub fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// Whether it has one port alone.
    #[must_use]
    pub fn is_one(self) -> bool {
        self.first == self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() {
            return write!(out, "{}", self.first);
        }
        write!(out, "{}-{}", self.first, self.last)
    }
}

/// How long a service that is started again may take by default.
const RESTART: Duration = Duration::from_secs(60);

/// How long a controller that is started again may take at most by default: half of what engines wait for it, so that the next try finds them
/// too.
const RESTART_OF_CONTROLLER: Duration = Duration::from_millis(ENGINE_PATIENCE_MS as u64 / 2);

/// How long the start may take, in the whole and for single services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartLimits {
    /// From the start of ipjob to ready.
    pub whole: Duration,
    /// From a service's own start to its readiness, where it has a limit of its own.
    pub services: BTreeMap<Name, Duration>,
}

impl StartLimits {
    /// The limit of a service that is started again while the job is up: its own, or else a minute, of a start that may take longer than
    /// three a third, and of a controller no more than half of [`ENGINE_PATIENCE_MS`], after which its engines end. Its files are in the memory
    /// then.
    #[must_use]
    pub fn again(&self, name: Name) -> Duration {
        let short = self.whole.min(RESTART).max(self.whole / 3);
        let most = match name {
            Name::Controller => RESTART_OF_CONTROLLER,
            _ => Duration::MAX,
        };
        self.services.get(&name).copied().unwrap_or(short.min(most))
    }

    /// The limit of one service; without one of its own, the whole.
    #[must_use]
    pub fn of(&self, name: Name) -> Duration {
        self.services.get(&name).copied().unwrap_or(self.whole)
    }
}

/// Whether engines that end are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Respawn {
    /// No: the job continues with the others
    Off,
    /// Each by itself, with the same id and an empty memory; for engines without MPI
    Engine,
    /// All together, with the same ids and empty memories; for engines that form one MPI world
    Set,
}

/// What each engine is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bind {
    /// What Slurm binds it to
    Auto,
    /// A GPU of its own and CPUs near it; if there are more engines than GPUs, they share GPUs in turn; if fewer, each gets several
    Gpu,
    /// CPUs of its own: whole cores near each other, while there are enough
    Cpu,
    /// Nothing: it may use all CPUs and GPUs that the job has on its node
    None,
}

/// How many threads the libraries of an engine start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// As many as the engine has CPUs, unless the user has said it by a variable.
    Auto,
    /// As many as they like.
    Off,
    /// So many.
    Number(u32),
}

/// Whether all that passes the controller's ports is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Curve {
    /// Wherever ipyparallel can
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

impl fmt::Display for Curve {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// A process that a job ends with: its id alone is used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Its id.
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub start: u64,
    /// The name of its program.
    pub name: String,
}

impl fmt::Display for Followed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.pid, self.name)
    }
}

/// The run options.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the job is for.
    pub mode: Mode,
    /// How engines are started; `None` takes what fits the allocation.
    pub launcher: Option<Launcher>,
    /// Whether engines form one MPI world.
    pub mpi: Mpi,
    /// The program that replaces srun or mpiexec.
    pub launcher_command: Option<String>,
    /// Further arguments of srun or mpiexec.
    pub srun_args: Vec<String>,
    /// Whether a node's engines are started one by one or forked.
    pub engine_start: EngineStart,
    /// What engines import before they count as ready.
    pub preload: Preload,
    /// Whether engines that end are started again; `None` takes what fits the mode.
    pub respawn: Option<Respawn>,
    /// What each engine is bound to.
    pub bind: Bind,
    /// How many threads each engine's libraries start.
    pub threads: Threads,
    /// A command that stands between the launcher and ipengine, by its words.
    pub engine_wrapper: Vec<String>,
    /// The controller's address: an IP address or the name of an interface; `None` takes what the other nodes reach.
    pub address: Option<String>,
    /// Jupyter's address, likewise; `None` takes the controller's.
    pub jupyter_address: Option<String>,
    /// Engines asked for; `None` takes the allocation's tasks.
    pub engines: Option<u32>,
    /// The fewest engines that are accepted when the time is up; `None` wants them all.
    pub min_engines: Option<u32>,
    /// Whether engines have nannies.
    pub nanny: Nanny,
    /// Further arguments of every ipengine.
    pub engine_args: Vec<String>,
    /// Further arguments of ipcontroller.
    pub controller_args: Vec<String>,
    /// The ports that ipcontroller takes its own from; `None` lets it choose.
    pub controller_ports: Option<PortRange>,
    /// The ports that Jupyter's is taken from.
    pub port_range: PortRange,
    /// Where Jupyter's token is read from; `None` makes a random one.
    pub jupyter_token_file: Option<PathBuf>,
    /// Whether all that passes the controller's ports is encrypted.
    pub curve: Curve,
    /// Which Jupyter is started.
    pub frontend: Frontend,
    /// The directory that Jupyter shows; `None` is the working directory.
    pub root_dir: Option<PathBuf>,
    /// The profile's name.
    pub profile: ProfileName,
    /// The IPython directory, absolute.
    pub ipython_dir: PathBuf,
    /// Where a second copy of the record goes, absolute.
    pub record: Option<PathBuf>,
    /// The order of the start; `None` is overlapped, unless something prevents it.
    pub starting: Option<Start>,
    /// How long the start may take.
    pub start: StartLimits,
    /// How long the stop may take.
    pub stop: Duration,
    /// How long before the end of the job's time the stop begins; `None` is 60 s, or a tenth of a short limit.
    pub stop_before: Option<Duration>,
    /// After so long without use the job ends itself; `None` never.
    pub idle: Option<Duration>,
    /// Whether it is left running when it is ready.
    pub detach: bool,
    /// The process with which the job ends; `None` is no other than its own.
    pub follow: Option<Followed>,
    /// What a shell runs once the job is ready.
    pub on_ready: Option<String>,
    /// What follows `--`: Jupyter's arguments, or the driver command.
    pub arguments: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_is_back_before_its_engines_give_it_up_unless_its_user_says_otherwise() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let mut start = StartLimits {
            whole: minutes(30),
            services: BTreeMap::new(),
        };
        assert_eq!(start.again(Name::Jupyter), minutes(10));
        assert_eq!(
            start.again(Name::Controller) * 2,
            Duration::from_millis(ENGINE_PATIENCE_MS.into())
        );
        start.services.insert(Name::Controller, minutes(5));
        assert_eq!(start.again(Name::Controller), minutes(5));
        start = StartLimits {
            whole: minutes(2),
            services: BTreeMap::new(),
        };
        assert_eq!(start.again(Name::Controller), minutes(1));
    }
}
