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

/// The options of `ipjob connect`.
#[derive(Args, Debug)]
pub struct ConnectOptions {
    /// The job: its id, or the profile of a job without Slurm. HOST is anything that `ssh HOST` accepts; without it, ipjob
    /// looks on this machine and its cluster. `HOST:` alone means the only job that is running there.
    #[arg(value_name = "[HOST:]JOB", required_unless_present_any = ["list", "disconnect"])]
    pub target: Option<String>,

    /// List the connections of this machine, in the foreground and in the background.
    #[arg(long, conflicts_with_all = ["target", "disconnect", "background", "open", "print"])]
    pub list: bool,

    /// End the connection to JOB, or the only one if no JOB is given; the job keeps running.
    #[arg(long, conflicts_with_all = ["background", "open", "print", "json"])]
    pub disconnect: bool,

    #[command(flatten)]
    pub tunnel: TunnelOptions,
}

/// The options of a tunnel to a job.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct TunnelOptions {
    /// Return once connected. The connection outlives the terminal: it lasts until the job ends or `ipjob connect
    /// --disconnect` ends it.
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

    /// Open Jupyter in the browser, through a file that only you can read, because the address contains the token. This also
    /// works for a job that is already connected.
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

    /// Range of local ports [default: the same ports as in the job, or others if those are taken].
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
