//! Words that options take, and what they stand for.

use crate::plan::settings::Curve;
use crate::plan::settings::{EngineStart, Launcher, Mode, Nanny, Respawn};
use crate::plan::wiring::Start;
use clap::ValueEnum;

/// What the job is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeArgument {
    /// Controller, engines and Jupyter
    Notebook,
    /// Controller and engines; with a COMMAND, until that ends
    ClusterOnly,
}

impl From<ModeArgument> for Mode {
    fn from(argument: ModeArgument) -> Self {
        match argument {
            ModeArgument::Notebook => Self::Notebook,
            ModeArgument::ClusterOnly => Self::ClusterOnly,
        }
    }
}

/// How engines are started.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LauncherArgument {
    /// What fits: ranks if ipjob was started as several, srun inside a Slurm job, else local
    Auto,
    /// Processes of this machine
    Local,
    /// One step of the Slurm job
    Srun,
    /// One mpiexec, for allocations without srun
    Mpiexec,
    /// The ranks that ipjob itself was started as, by `srun -n N ipjob` or `mpiexec -n N ipjob`
    Ranks,
}

/// Whether every engine has a nanny.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum NannyArgument {
    /// Yes, unless this machine's memory is too little for them
    Auto,
    /// Yes
    On,
    /// No
    Off,
}

impl From<NannyArgument> for Nanny {
    fn from(argument: NannyArgument) -> Self {
        match argument {
            NannyArgument::Auto => Self::Auto,
            NannyArgument::On => Self::On,
            NannyArgument::Off => Self::Off,
        }
    }
}

/// How the start goes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StartArgument {
    /// Controller, engines and Jupyter at once
    Overlapped,
    /// The controller first
    Sequential,
}

impl From<StartArgument> for Start {
    fn from(argument: StartArgument) -> Self {
        match argument {
            StartArgument::Overlapped => Self::Overlapped,
            StartArgument::Sequential => Self::Sequential,
        }
    }
}

/// Whether messages are encrypted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CurveArgument {
    /// In a job of a scheduler, and with engines that may be on other hosts
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

impl From<CurveArgument> for Curve {
    fn from(argument: CurveArgument) -> Self {
        match argument {
            CurveArgument::Auto => Self::Auto,
            CurveArgument::On => Self::On,
            CurveArgument::Off => Self::Off,
        }
    }
}

impl From<LauncherArgument> for Option<Launcher> {
    fn from(argument: LauncherArgument) -> Self {
        match argument {
            LauncherArgument::Auto => None,
            LauncherArgument::Local => Some(Launcher::Local),
            LauncherArgument::Srun => Some(Launcher::Srun),
            LauncherArgument::Mpiexec => Some(Launcher::Mpiexec),
            LauncherArgument::Ranks => Some(Launcher::Ranks),
        }
    }
}

/// How a node's engines come to be.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EngineStartArgument {
    /// Each is a Python of its own
    Exec,
    /// On each node one Python imports ipyparallel and forks them: sooner, with less memory and fewer files opened; where its
    /// site-wide modules run threads or hold a GPU, with MPI, and with the launchers mpiexec and ranks, as exec
    Fork,
}

impl From<EngineStartArgument> for EngineStart {
    fn from(argument: EngineStartArgument) -> Self {
        match argument {
            EngineStartArgument::Exec => Self::Exec,
            EngineStartArgument::Fork => Self::Fork,
        }
    }
}

/// Whether engines that end are started again.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RespawnArgument {
    /// No: the job goes on with the others
    Off,
    /// Each one by itself, with the same id and nothing in its memory; for engines without MPI
    Engine,
    /// All together, with the same ids and nothing in their memories; for engines that are one MPI world
    Set,
}

impl From<RespawnArgument> for Respawn {
    fn from(argument: RespawnArgument) -> Self {
        match argument {
            RespawnArgument::Off => Self::Off,
            RespawnArgument::Engine => Self::Engine,
            RespawnArgument::Set => Self::Set,
        }
    }
}
