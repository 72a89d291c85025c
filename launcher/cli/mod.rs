//! Flags and subcommands. The doc comments are the manual: `ipjob --help`, `ipjob man` and the completions come from them.

mod completions;
pub mod connect;
pub mod doctor;
pub mod jobs;
mod manual;
pub mod options;
mod paths;
pub mod ssh;
mod template;
pub mod up;
mod values;
pub mod variables;

pub use completions::print_completions;
pub use manual::print_man;
pub use template::print_template;

use crate::failure::{Failure, Outcome};
use crate::plan::services::Succession;
use crate::plan::{bind, threads};
use crate::report::console::Verbosity;
use crate::report::front::print_failure;
use crate::report::output;
use clap::builder::StyledStr;
use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use connect::ConnectOptions;
use doctor::DoctorOptions;
use jobs::{CleanOptions, RestartOptions, StatusOptions, StopOptions, WaitOptions};
use options::RunOptions;
use ssh::SshOptions;
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use template::TemplateOptions;
use up::UpOptions;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const USAGE: &str = "ipjob --mode notebook     [OPTIONS] [-- JUPYTER ARGS]
       ipjob --mode cluster-only [OPTIONS] [-- COMMAND ...]
       ipjob up HOST: [SCRIPT | --template MODE] [OPTIONS]
       ipjob connect [HOST:]JOB [--background] [--open] [OPTIONS]
       ipjob connect --list | --disconnect [JOB]
       ipjob ssh [HOST:]JOB [--node NODE] [-- COMMAND]
       ipjob status [HOST:][JOB] [--json] [--watch] [--timeline]
       ipjob stop [HOST:]JOB
       ipjob wait [HOST:][JOB] [--for ready|ended] [--timeout TIME]
       ipjob restart [HOST:][JOB] [--all]
       ipjob clean [HOST:][JOB | --all] [--dry-run]
       ipjob template MODE [OPTIONS]
       ipjob doctor [--report[=FILE]]
       ipjob completions SHELL
       ipjob man [COMMAND]";

/// Start an ipyparallel cluster with Jupyter, supervise it, and shut it down cleanly.
///
/// ipjob creates a profile directory and the controller's ports and connection files, starts ipcontroller, the engines and
/// Jupyter at once, waits until all of them are ready, and writes a record (JSON) from which programs learn how to reach
/// them. It runs until somebody shuts Jupyter down, a signal arrives, or the driver command exits. Then it shuts everything
/// down cleanly; logs and the record remain.
#[derive(Debug, Parser)]
#[command(
    name = "ipjob",
    version,
    override_usage = USAGE,
    styles = STYLES,
    after_long_help = manual::after_help(),
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub run: RunOptions,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What ipjob does besides its main command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// On a laptop: submit a job or find one that is in the queue, wait for it, and connect, all through one ssh login.
    ///
    /// The batch script is a file on this machine, a file on the cluster (HOST:PATH), or a template. If a job of the same name
    /// is pending or running, ipjob uses that one, unless --new is given. Ctrl-C while it waits leaves the job in the queue.
    /// When the job runs, this connects as `ipjob connect` does, and takes all its options.
    Up(UpOptions),
    /// On a laptop: connect to a job's Jupyter and ipyparallel through one ssh login; the job may still be pending or starting.
    ///
    /// One ssh (your own, with your ~/.ssh/config) finds the job and forwards Jupyter and all ports of the controller. Prints
    /// an address for the browser and creates a local profile, so that `ipp.Client(profile="job_<JOBID>")` works here.
    /// Reconnects by itself, without ever asking for a password or a code, follows the job when it is requeued, and exits when
    /// it ends. Ctrl-C removes everything that it created. With --background it returns once connected.
    Connect(ConnectOptions),
    /// Open a shell or run a command on a node of a running job, with the job's environment.
    ///
    /// It runs your ssh program, through your login to HOST and a step of the job (srun), so nodes need not allow ssh, and
    /// nothing listens on a port. Each session has its own keys. The exit code is the command's, or 255 if no session could be
    /// opened.
    Ssh(SshOptions),
    /// Show job status: state, engines, time left, where jobs run and what Slurm says.
    ///
    /// Without HOST it shows this machine's jobs and, on a login node, those in Slurm's queue. With HOST it asks there, with
    /// your own ssh program and its configuration; ipjob need not be installed there. A job whose ipjob is gone is shown as
    /// dead.
    Status(StatusOptions),
    /// End a job cleanly, as Ctrl-C would, and wait until it has ended.
    ///
    /// The record says what to signal to reach the job's ipjob: the batch script, a step, or a process. A process is signalled
    /// only if it is still the one that the record names.
    Stop(StopOptions),
    /// Wait until a job is ready, or until it has ended.
    ///
    /// The exit code is 0 once it is, 3 if the job ends before it is ready or the timeout expires, and 1 if the job is gone and
    /// its record does not say how it ended.
    Wait(WaitOptions),
    /// Restart the engines of a job that have ended, and wait until they have registered.
    ///
    /// Also restarts the controller, if ipjob has given it up or a client has shut it down. Running engines keep their data,
    /// unless they form one MPI world with the lost ones. In a notebook, `!ipjob restart` finds its own job.
    Restart(RestartOptions),
    /// Delete the files of finished jobs: profiles that ipjob created, logs, records and pointers.
    ///
    /// A job counts as running until squeue of its own cluster says otherwise; without Slurm, until its record says that it has
    /// ended, or its process is gone and its record is old. When in doubt, ipjob deletes nothing. In a profile that it did not
    /// create, it deletes only its own files.
    Clean(CleanOptions),
    /// Print a Slurm batch script to stdout, to edit or submit as it is.
    Template(TemplateOptions),
    /// Report what would go wrong here and how to fix it: one line per finding, exit code 4 if there is a problem.
    ///
    /// On a login node it checks programs and versions. Inside an allocation it also runs small steps: which type of
    /// `srun --mpi` makes one world of mpi4py, and whether the nodes can reach each other and share the profile directory.
    Doctor(DoctorOptions),
    /// Print a shell completion script to stdout.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page (troff) of ipjob, or of one of its commands, to stdout.
    Man {
        /// The command, such as `connect`.
        command: Option<String>,
    },
    /// Print what may follow of a word that names a host and a job; the completion scripts start this.
    #[command(hide = true)]
    Offers {
        /// Only hosts.
        #[arg(long)]
        hosts: bool,
        /// What is typed so far.
        #[arg(allow_hyphen_values = true)]
        word: String,
    },
    /// Connect to an address and look for a file; the doctor starts this on every node.
    #[command(hide = true)]
    Probe {
        /// Where the doctor listens.
        target: SocketAddr,
        /// What it wrote.
        marker: PathBuf,
    },
    /// Carry connections to these addresses over stdin and stdout; `ipjob connect --via srun` starts this on a compute node.
    #[command(hide = true)]
    Relay {
        /// Where the connections go.
        #[arg(required = true)]
        targets: Vec<SocketAddr>,
    },
    /// Serve one ssh connection over stdin and stdout; `ipjob ssh` has srun start this on a node.
    #[command(hide = true)]
    Sshd {
        /// The record of the job.
        record: PathBuf,
        /// The public key that gets in.
        key: String,
    },
    /// Become what an ssh session asks for, with the job's environment; the sshd above starts this.
    #[command(hide = true)]
    Session {
        /// The record of the job.
        record: PathBuf,
        /// The process that srun has started.
        step: u32,
    },
    /// Report who we are and become an engine; srun starts this.
    #[command(hide = true)]
    Engine {
        /// The Python that forks the engines of this node.
        #[arg(long, value_name = "PYTHON")]
        fork: Option<PathBuf>,
        /// The limit of --idle-timeout in milliseconds: one task of each node reports when its engines are idle.
        #[arg(long)]
        idle_limit: Option<u64>,
        /// Which engine it becomes again, as the only task of its step, and what the one before it was.
        #[arg(long, value_name = "ID,LOCAL,TASKS,PID,STEP")]
        again: Option<Succession>,
        /// How many threads its libraries may start.
        #[arg(long, value_name = "N|cpus[:N]")]
        threads: Option<threads::Rule>,
        /// What it is bound to.
        #[arg(long, value_name = "gpu|own-gpus|cpu")]
        bind: Option<bind::Rule>,
        /// It has no nanny where it is not forked.
        #[arg(long)]
        alone_without_nanny: bool,
        /// The engine's command line.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Become the command line that is handed over under this name; `--detach` starts this by srun.
    #[command(hide = true)]
    Become {
        /// Where the one in front listens.
        name: String,
    },
    /// Report when the engines of this node are idle; a task of the engines' step starts this.
    #[command(hide = true)]
    Rest {
        /// The limit of --idle-timeout in milliseconds.
        idle_limit: u64,
        /// The node's name.
        node: String,
        /// The task.
        task: u32,
    },
}

impl Cli {
    /// How much is shown.
    pub fn verbosity(&self) -> Verbosity {
        match &self.command {
            Some(Command::Connect(options)) => options.tunnel.verbosity(),
            Some(Command::Up(options)) => options.tunnel.verbosity(),
            _ => self.run.verbosity(),
        }
    }
}

/// Reads flags and variables; `Err` is the exit code once help, version or an error was shown.
pub fn parse() -> Result<Cli, ExitCode> {
    read().map_err(|mut error| {
        name_variable(&mut error);
        name_command(&mut error);
        let _ = error.print();
        if error.use_stderr() && wants_json() {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            let failure = Failure::usage(line.strip_prefix("error: ").unwrap_or(line));
            print_failure(&failure, None);
        }
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(u8::MAX))
    })
}

/// Whether a command line that cannot be read asks for JSON.
fn wants_json() -> bool {
    let mut words = env::args_os().take_while(|word| word != "--");
    words.any(|word| word == "--json")
}

fn read() -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    // clap's own conflict would hold for variables too, and a site's IPJOB_VERBOSE must not forbid a user's -q.
    let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    match (typed("quiet"), typed("verbose")) {
        (true, true) => {
            return Err(Cli::command().error(
                ErrorKind::ArgumentConflict,
                "the argument '--quiet' cannot be used with '--verbose'",
            ));
        }
        (true, false) => cli.run.verbose = false,
        (false, true) => cli.run.quiet = false,
        (false, false) => {}
    }
    Ok(cli)
}

/// clap names the option even where the value came from its variable, which a site's module file may have set unseen.
fn name_variable(error: &mut clap::Error) {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(option), Some(value)) = (
        context(ContextKind::InvalidArg),
        context(ContextKind::InvalidValue),
    ) else {
        return;
    };
    let mut command = Cli::command();
    // Only a built command writes its options as errors do.
    command.build();
    let variable = command
        .get_arguments()
        .filter(|argument| argument.to_string() == option)
        .filter_map(clap::Arg::get_env)
        .find(|variable| {
            env::var(variable).is_ok_and(|text| text.split(',').any(|part| part == value))
        });
    if let Some(variable) = variable {
        let tip = StyledStr::from(format!("{} is set to it", variable.to_string_lossy()));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
}

/// A typo in a command's name is an argument that nobody expects.
fn name_command(error: &mut clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else {
        return;
    };
    if error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    let command = Cli::command();
    let names = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(clap::Command::get_name);
    let meant = variables::meant(word, names).map(str::to_owned);
    // HOST:JOB without a command.
    let is_target = word.split_once(':').is_some_and(|(host, job)| {
        !host.is_empty() && !host.starts_with('-') && !job.contains(':')
    });
    if let Some(meant) = meant.or_else(|| is_target.then(|| format!("connect {word}"))) {
        let tip = StyledStr::from(format!("did you mean `ipjob {meant}`?"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
}

/// Writes data to stdout and returns the exit code.
fn print(data: &[u8]) -> Outcome<u8> {
    output::data(data).map(|()| 0)
}
