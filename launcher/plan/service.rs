//! A service as data: what is started, after what, when it is ready, how it is stopped.

use super::settings::PortRange;
use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The services, in the order of start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// `ipcontroller`: the hub, its schedulers and its heartmonitor.
    Controller,
    /// N processes of `ipengine`.
    Engines,
    /// The Jupyter server.
    Jupyter,
    /// The user's own command in cluster-only mode.
    Driver,
}

impl Name {
    /// All names, in the order of start.
    pub const ALL: [Self; 4] = [Self::Controller, Self::Engines, Self::Jupyter, Self::Driver];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Engines => "engines",
            Self::Jupyter => "jupyter",
            Self::Driver => "driver",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.word())
    }
}

/// One process of a service: its place among the service's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// The service.
    pub service: Name,
    /// From 0; for local engines it is the engine's id as well.
    pub index: u32,
}

/// From here on an index is that of an engine which has a step of its own: its id comes on top.
const OWN_STEPS: u32 = 1 << 24;

impl ProcessId {
    /// The srun that started one engine of the step again.
    #[must_use]
    pub fn own_step(engine: u32) -> Self {
        Self {
            service: Name::Engines,
            index: OWN_STEPS.saturating_add(engine),
        }
    }

    /// The engine that this srun started again; `None` for any other process.
    #[must_use]
    pub fn engine_of_own_step(self) -> Option<u32> {
        self.index
            .checked_sub(OWN_STEPS)
            .filter(|_| self.service == Name::Engines)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service {
            Name::Engines => {
                let engine = self.engine_of_own_step().unwrap_or(self.index);
                write!(out, "engine {engine}")
            }
            service => write!(out, "{service}"),
        }
    }
}

/// The text of a variable or of a file; a secret one is never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Text {
    /// Anyone may see it.
    Plain(String),
    /// Nobody but the process it is for.
    Secret(String),
}

impl Text {
    /// The text itself, for the process it is for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Secret(text) => text,
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Plain(text) => text,
            Self::Secret(_) => "<secret>",
        })
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What a child's environment has that ours has not, and the reverse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Variables that are set.
    pub set: BTreeMap<String, Text>,
    /// Variables of ours that are dropped.
    pub dropped: Vec<String>,
    /// Variables whose text is what a file has when the process is started; it is a secret.
    pub from_files: BTreeMap<String, PathBuf>,
}

/// Where a process's standard streams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Nothing to read; output and errors go to the log.
    Log,
    /// Ours: a driver is typed to and piped from.
    Inherited,
}

/// One process to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The program, as found on PATH.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Process {
    /// The program's name, without its directory.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// A program that ipjob carries inside and writes down before a service starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Where it is written, in a directory that only the user can enter.
    pub path: PathBuf,
    /// What it is.
    pub text: &'static str,
}

/// Ports that are held before the service starts and given to it as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortNeed {
    /// One port.
    One {
        /// Ports to choose from.
        range: PortRange,
        /// The argument before the number: `--ServerApp.port=`.
        argument: String,
        /// Whether ipjob listens itself and hands the socket over; else the program binds the port.
        handed: bool,
    },
    /// Those of the wiring; only the internal ones are an argument, the others stand in the connection files.
    Wiring {
        /// Ports to choose from; `None` for any that is free.
        range: Option<PortRange>,
        /// Whether ipjob listens itself and hands the sockets over; else the controller binds its ports.
        handed: bool,
    },
}

/// The fact that makes a service ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Both connection files complete and ours, every port taken by the controller's own processes: as they tell it where ipjob listens itself,
    /// else in LISTEN.
    Controller,
    /// So many engines in the hub's engine file.
    Engines {
        /// As many as are started.
        expected: u32,
        /// As few as are accepted when the time is up.
        minimum: u32,
        /// Whether one process (srun) stands for all of them.
        step: bool,
        /// Whether engines of their own processes form one MPI world: then none works without the others.
        world: bool,
    },
    /// GET api/status, below Jupyter's path, answers 200 to our token.
    Jupyter,
    /// It runs.
    Started,
}

/// How a service's processes are asked to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// With SIGTERM.
    Signal,
    /// By this `scancel`, which signals the tasks of the step: SIGTERM to srun would kill them at once.
    Scancel(PathBuf),
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which it is.
    pub name: Name,
    /// Started when all of these are ready.
    pub after: Vec<Name>,
    /// Its processes.
    pub processes: Vec<Process>,
    /// What its processes run that no package has.
    pub carried: Vec<Carried>,
    /// The environment of all its processes.
    pub environment: Environment,
    /// Their standard streams.
    pub streams: Streams,
    /// The ports it needs, where ipjob chooses them.
    pub port: Option<PortNeed>,
    /// When it is ready.
    pub ready: Readiness,
    /// How its processes are asked to end.
    pub asking: Asking,
    /// From its start to ready.
    pub start_limit: Duration,
    /// The same for a start after it has ended.
    pub restart_limit: Duration,
    /// From the request to end to the kill.
    pub stop_limit: Duration,
}
