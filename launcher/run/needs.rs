//! The programs that the plan needs, found on this machine.

use crate::failure::{Failure, Outcome};
use crate::here::{mpi, programs, versions};
use crate::plan::allocation::Allocation;
use crate::plan::settings::{Frontend, Settings};
use crate::plan::{Jupyter, Mpiexec, Srun};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Finds srun and decides the MPI world of its step.
pub fn find_srun(settings: &Settings, allocation: &Allocation, ipengine: &Path) -> Outcome<Srun> {
    let command = settings.launcher_command.as_deref().unwrap_or("srun");
    let program = programs::find(command, "Slurm's client programs")?;
    let scancel = programs::find("scancel", "Slurm's client programs")?;
    let inside_a_step = allocation
        .slurm
        .as_ref()
        .is_some_and(|slurm| slurm.step.is_some());
    let (mpi, mpi_types) = mpi::world(&settings.mpi, ipengine, &program, inside_a_step)?;
    Ok(Srun {
        program,
        scancel,
        ipjob: own_program()?,
        mpi,
        mpi_types,
    })
}

/// Finds mpiexec, or what stands for it.
pub fn find_mpiexec(settings: &Settings, ipengine: &Path) -> Outcome<Mpiexec> {
    let command = settings.launcher_command.as_deref().unwrap_or("mpiexec");
    Ok(Mpiexec {
        program: programs::find(command, "an MPI library")?,
        ipjob: own_program()?,
        world: mpi::plain_world(&settings.mpi, ipengine, true),
    })
}

/// This program, for what starts it on other nodes.
fn own_program() -> Outcome<PathBuf> {
    std::env::current_exe()
        .map_err(|error| Failure::missing("ipjob cannot find its own program").because(error))
}

/// Finds the front end and which family of options it understands.
pub async fn find_jupyter(frontend: &Frontend, limit: Duration) -> Outcome<Jupyter> {
    let program = match frontend {
        Frontend::Lab => programs::find("jupyter-lab", "jupyterlab")?,
        Frontend::Notebook => programs::find("jupyter-notebook", "notebook")?,
        Frontend::Server => programs::find("jupyter-server", "jupyter_server")?,
        Frontend::Program(path) => programs::find(&path.to_string_lossy(), "jupyterlab")?,
    };
    let classic =
        may_be_classic(&program) && versions::of(&program, "notebook", limit).await?.major() < 7;
    Ok(Jupyter { program, classic })
}

/// Only `jupyter-notebook` can be the classic one.
fn may_be_classic(program: &Path) -> bool {
    program
        .file_name()
        .is_some_and(|name| name == "jupyter-notebook")
}
