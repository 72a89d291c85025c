//! The options of `ipjob connect`.

use super::{paths, values};
use crate::failure::Outcome;
use crate::plan::profile::ProfileName;
use crate::plan::settings::PortRange;
use crate::report::console::Verbosity;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// How the laptop gets to the compute node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// `forward`, and `jump` if that fails
    Auto,
    /// The login node connects to the compute node's address
    Forward,
    /// A second ssh to the compute node, through the login node
    Jump,
    /// srun on the login node relays all traffic; ipjob must be installed on the cluster
    Srun,
}

/// What connect is told.
#[derive(Args, Debug)]
pub struct ConnectOptions {
    /// The job: its id, or the profile of a job without Slurm. HOST is anything that `ssh HOST` accepts; without it the job is
    /// looked up on this machine and its cluster. `HOST:` alone means the only job that is running there.
    #[arg(value_name = "[HOST:]JOB", required_unless_present_any = ["list", "disconnect"])]
    pub target: Option<String>,

    /// List the connections of this machine, in the background or not.
    #[arg(long, conflicts_with_all = ["target", "disconnect", "background", "open", "print"])]
    pub list: bool,

    /// End the connection to JOB, by default the only one; the job keeps running.
    #[arg(long, conflicts_with_all = ["background", "open", "print", "json"])]
    pub disconnect: bool,

    #[command(flatten)]
    pub tunnel: TunnelOptions,
}

/// What is told of a tunnel to a job.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct TunnelOptions {
    /// Return once connected. The connection stays when the terminal is closed, until the job ends or `ipjob connect
    /// --disconnect`.
    #[arg(long)]
    pub background: bool,

    /// Be the one that stays: what --background starts.
    #[arg(long, hide = true)]
    pub behind: bool,

    /// How to reach the compute node.
    #[arg(long, env = "IPJOB_VIA", value_name = "WAY", default_value = "auto")]
    pub via: Via,

    /// With --via srun: ipjob on the cluster, as a path or a name on PATH there.
    #[arg(
        long,
        env = "IPJOB_REMOTE_IPJOB",
        value_name = "PATH",
        default_value = "ipjob",
        value_parser = values::remote_program
    )]
    pub remote_ipjob: String,

    /// Open Jupyter's page in the browser, by way of a file that only you can read, because the address contains the token. A
    /// job that is connected already is opened as well.
    #[arg(long)]
    pub open: bool,

    /// Print only Jupyter's address and the lines for Python, on stdout.
    #[arg(long, conflicts_with = "json")]
    pub print: bool,

    /// Print one line of JSON instead: url, token, port, profile, client file and its ports.
    #[arg(long)]
    pub json: bool,

    /// Name of the local profile [default: job_<JOBID>].
    #[arg(long, value_name = "NAME", value_parser = values::profile_name)]
    pub profile: Option<ProfileName>,

    /// Range of local ports [default: the same ports as in the job, others if these are taken].
    #[arg(long, env = "IPJOB_LOCAL_PORTS", value_name = "FIRST-LAST", value_parser = values::port_range)]
    pub local_ports: Option<PortRange>,

    /// IPython directory on this machine, as for the main command.
    #[arg(long, env = "IPJOB_IPYTHON_DIR", value_name = "DIR")]
    ipython_dir: Option<PathBuf>,

    /// Also show ssh's messages.
    #[arg(short, long)]
    pub verbose: bool,
}

impl TunnelOptions {
    /// How much is shown: what programs read is not to be mixed with talk.
    pub fn verbosity(&self) -> Verbosity {
        match (self.verbose, self.print || self.json) {
            (true, _) => Verbosity::Verbose,
            (false, true) => Verbosity::Quiet,
            (false, false) => Verbosity::Normal,
        }
    }

    /// Where the local profile is made.
    pub fn ipython_dir(&self) -> Outcome<PathBuf> {
        paths::ipython_dir(self.ipython_dir.as_deref())
    }
}
