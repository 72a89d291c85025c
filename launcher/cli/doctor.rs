//! The options of `ipjob doctor`.

use super::{paths, values};
use crate::failure::Outcome;
use crate::plan::settings::Mpi;
use clap::Args;
use std::path::PathBuf;

/// The options of `ipjob doctor`.
#[derive(Args, Debug)]
pub struct DoctorOptions {
    /// Write a report for a support ticket: versions, what was tried, defaults, limits, Slurm's configuration, the last jobs and logs,
    /// without secrets. FILE is private; `-` prints the report instead [default: ipjob-report.txt].
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true, default_missing_value = "ipjob-report.txt"
    )]
    pub report: Option<PathBuf>,

    /// The type of `srun --mpi` that the job would use, as for the main command.
    #[arg(long, env = "IPJOB_MPI", value_name = "TYPE", default_value = "auto", value_parser = values::mpi)]
    pub mpi: Mpi,

    /// Address of the controller, as for the main command.
    #[arg(long, env = "IPJOB_ADDRESS", value_name = "IP|INTERFACE")]
    pub address: Option<String>,

    /// IPython directory, as for the main command.
    #[arg(long, env = "IPJOB_IPYTHON_DIR", value_name = "DIR")]
    ipython_dir: Option<PathBuf>,
}

impl DoctorOptions {
    /// The IPython directory of a job started like this.
    pub fn ipython_dir(&self) -> Outcome<PathBuf> {
        paths::ipython_dir(self.ipython_dir.as_deref())
    }
}
