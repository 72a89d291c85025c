//! The options of `ipjob up`.

use super::connect::TunnelOptions;
use super::template::FillingOptions;
use crate::plan::settings::Mode;
use crate::plan::template::Filling;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The templates that can be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UpTemplate {
    /// Controller, engines and Jupyter
    Notebook,
    /// Controller and engines
    ClusterOnly,
}

/// The options of `ipjob up`.
#[derive(Args, Debug)]
pub struct UpOptions {
    /// The login node, as for `ssh HOST`; PATH is a batch script there, which is submitted from its own directory.
    #[arg(value_name = "HOST:[PATH]")]
    pub target: String,

    /// A batch script on this machine [default: that of `ipjob template notebook`].
    #[arg(value_name = "SCRIPT")]
    pub script: Option<PathBuf>,

    /// Submit this template.
    #[arg(long, value_enum, value_name = "MODE", conflicts_with = "script")]
    pub template: Option<UpTemplate>,

    /// Submit a new job even if one of that name is pending or running.
    #[arg(long)]
    pub new: bool,

    /// Cancel the job when this command ends (by Ctrl-C, a signal or a failure), if this command submitted it.
    #[arg(long)]
    pub cancel_on_exit: bool,

    #[command(flatten)]
    filling: FillingOptions,

    #[command(flatten)]
    pub tunnel: TunnelOptions,

    /// Arguments for sbatch.
    #[arg(last = true, value_name = "SBATCH ARGS")]
    pub sbatch_args: Vec<String>,
}

impl UpOptions {
    /// What was given to fill in, or to overrule lines of the script with.
    pub fn filling(&self) -> Filling {
        self.filling.filling()
    }

    /// The mode of the template.
    pub fn mode(&self) -> Mode {
        match self.template {
            Some(UpTemplate::ClusterOnly) => Mode::ClusterOnly,
            Some(UpTemplate::Notebook) | None => Mode::Notebook,
        }
    }
}
