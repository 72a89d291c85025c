//! The options of `ipjob ssh`.

use super::values;
use clap::Args;

/// The options of `ipjob ssh`.
#[derive(Args, Debug)]
pub struct SshOptions {
    /// The job, as for `ipjob connect` [default: the only one that is running here].
    #[arg(value_name = "[HOST:]JOB")]
    pub target: Option<String>,

    /// The node of the job [default: the one that ipjob runs on].
    #[arg(long, value_name = "NODE", value_parser = values::node)]
    pub node: Option<String>,

    /// Print an entry for ~/.ssh/config to stdout instead, with which `ssh`, `scp`, `sftp`, `rsync`, VS Code and others reach the
    /// job. `HOST:` alone makes an entry that always leads to the only job that is running there.
    #[arg(long, conflicts_with_all = ["command", "ssh_args"])]
    pub config: bool,

    /// Argument for the ssh program, such as `--ssh-arg=-L8080:localhost:8080` or `--ssh-arg=-t`; may be repeated.
    #[arg(long = "ssh-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub ssh_args: Vec<String>,

    /// ipjob on the cluster, as a path or a name on PATH there [default: the program that runs the job].
    #[arg(long, env = "IPJOB_REMOTE_IPJOB", value_name = "PATH", value_parser = values::remote_program)]
    pub remote_ipjob: Option<String>,

    /// Carry one session over stdin and stdout: what the entry has as its `ProxyCommand`.
    #[arg(long, hide = true, conflicts_with_all = ["config", "command", "ssh_args"])]
    pub proxy: bool,

    /// Command to run there, as for ssh: the words are joined by spaces and passed to your shell there [default: the shell itself].
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
