//! The options of the commands that look at jobs from elsewhere: `status`, `stop`, `wait`, `restart`, `clean`.

use super::{paths, values};
use crate::failure::Outcome;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// The options of `ipjob status`.
#[derive(Args, Debug)]
pub struct StatusOptions {
    /// The job: its id (`12345`, `12345_6`), or the profile of a job without Slurm; with HOST:, ipjob looks there, over ssh
    /// [default: all jobs].
    #[arg(value_name = "[HOST:]JOB")]
    pub target: Option<String>,

    /// Print JSON, a list with one object per job; with --watch, one line per update.
    #[arg(long)]
    pub json: bool,

    /// Draw a chart below the job that shows how long each part of the start took.
    #[arg(long, conflicts_with = "json")]
    pub timeline: bool,

    /// Update at this interval, over the same ssh, until the job has ended [default: 5s].
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "5s", value_parser = values::duration)]
    pub watch: Option<Duration>,
}

/// The options of `ipjob stop`.
#[derive(Args, Debug)]
pub struct StopOptions {
    /// The job, as for `ipjob status`.
    #[arg(value_name = "[HOST:]JOB")]
    pub target: String,

    /// How long to wait for the job to end (exit code 3 after that; nothing is killed).
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = values::duration)]
    pub timeout: Duration,
}

/// What `ipjob wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Moment {
    /// The job can be used, perhaps with fewer engines
    Ready,
    /// Nothing of the job is running any more
    Ended,
}

/// The options of `ipjob wait`.
#[derive(Args, Debug)]
pub struct WaitOptions {
    /// The job, as for `ipjob status` [default: the job that the command runs in, or the only job].
    #[arg(value_name = "[HOST:][JOB]")]
    pub target: Option<String>,

    /// What to wait for.
    #[arg(long = "for", value_enum, value_name = "MOMENT", default_value_t = Moment::Ready)]
    pub moment: Moment,

    /// How long to wait (exit code 3 after that) [default: no limit].
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub timeout: Option<Duration>,
}

/// The options of `ipjob restart`.
#[derive(Args, Debug)]
pub struct RestartOptions {
    /// The job, as for `ipjob status` [default: the job that the command runs in, or the only job].
    #[arg(value_name = "[HOST:][JOB]")]
    pub target: Option<String>,

    /// Restart all engines; running ones are killed first, e.g. if they hang in a collective.
    #[arg(long)]
    pub all: bool,

    /// How long to wait for the engines (exit code 3 after that; the job keeps trying).
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = values::duration)]
    pub timeout: Duration,
}

/// The options of `ipjob clean`.
#[derive(Args, Debug)]
pub struct CleanOptions {
    /// The job, as for `ipjob status`; it must have ended.
    #[arg(value_name = "[HOST:][JOB]", required_unless_present = "all")]
    pub target: Option<String>,

    /// Clean up after all jobs that have ended.
    #[arg(long)]
    pub all: bool,

    /// Print what would be deleted, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl CleanOptions {
    /// The IPython directory of this machine, where `ipjob connect` makes local profiles.
    pub fn ipython_dir() -> Outcome<PathBuf> {
        paths::ipython_dir(None)
    }
}
