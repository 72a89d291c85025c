//! A service as data: what is started, after what, when it is ready, how it is stopped.

use super::name::{Name, Unit};
use super::settings::PortRange;
use super::text::Text;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Those of the wiring; only the internal ones are an argument, the others are in the connection files.
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

impl Service {
    /// What its process of this index is.
    #[must_use]
    pub fn unit(&self, index: u32) -> Unit {
        match self.ready {
            Readiness::Engines { step: false, .. } => Unit::Engine(index),
            _ => Unit::from(self.name),
        }
    }

    /// Whether it and ipjob tell each other what happens: a controller that is run by a program of ours.
    #[must_use]
    pub fn talks(&self) -> bool {
        self.name == Name::Controller && !self.carried.is_empty()
    }
}
