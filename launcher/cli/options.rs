//! The run options as flags and variables, and their translation into settings.

use super::paths::{ipython_dir, profile_name, record, root_dir, working_directory};
use super::values::{self, StartLimit};
use crate::failure::{Failure, Outcome};
use crate::here::os::process;
use crate::plan::settings::{
    Bind, Curve, EngineStart, Followed, Frontend, Launcher, Mode, Mpi, Nanny, PortRange, Preload,
    Respawn, Settings, StartLimits, Threads,
};
use crate::plan::wiring::Start;
use crate::report::console::Verbosity;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

/// How long the whole start may take: a cold Python on a busy parallel file system needs a minute by itself.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// The most engines of one job: what ipyparallel's hub was ever seen to hold is about half of it.
const MOST_ENGINES: i64 = 10_000;

/// How engines are started: one of the launchers, or what fits.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LauncherArgument {
    /// Ranks if ipjob was started as several ranks, srun inside a Slurm job, otherwise local
    Auto,
    /// Processes on this machine
    Local,
    /// One step of the Slurm job
    Srun,
    /// One mpiexec, for allocations without srun
    Mpiexec,
    /// The ranks of ipjob itself, if it was started by `srun -n N ipjob` or `mpiexec -n N ipjob`
    Ranks,
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

/// The options of the main command.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option that is on or off"
)]
#[command(next_help_heading = "Job")]
pub struct RunOptions {
    /// What to start [required].
    #[arg(long, value_enum, env = "IPJOB_MODE", value_name = "MODE")]
    pub mode: Option<Mode>,

    /// In notebook mode, arguments for Jupyter (ipjob refuses those that it sets itself, such as --port). In cluster-only
    /// mode, the driver command: it starts when the engines are ready and uses ipjob's stdin and stdout; when it exits, the
    /// job ends with its exit code.
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,

    /// Print the plan (every argv, environment change and file) to stdout and start nothing [default: off].
    #[arg(long, env = "IPJOB_DRY_RUN", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    pub dry_run: bool,

    /// Also show details, such as every process that is started [default: off].
    #[arg(short, long, env = "IPJOB_VERBOSE", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    pub verbose: bool,

    /// Show only warnings and errors [default: off].
    #[arg(short, long, env = "IPJOB_QUIET", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    pub quiet: bool,

    /// Return when the job is ready (exit code 0) and leave it running, in a session of its own and, in a Slurm job, in a step
    /// of its own. From then on its messages go to a log, whose path `ipjob status` shows. Not available with a driver command
    /// [default: off].
    #[arg(long, env = "IPJOB_DETACH", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    pub detach: bool,

    /// With --detach: print one JSON object to stdout that says how to reach the job, or why it is not ready [default: off].
    #[arg(long, env = "IPJOB_JSON", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    pub json: bool,

    /// End the job cleanly when this process on this machine has ended, e.g. a notebook's kernel or a shell [default: none].
    #[arg(long, env = "IPJOB_FOLLOW", value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub follow: Option<u32>,

    /// This is the job that --detach leaves; stdin leads to the ipjob that waits for it.
    #[arg(long, hide = true)]
    pub detached: bool,

    /// Command that `sh -c` runs once, when the job is ready. `$IPJOB_READY_RECORD` is the path of the record and, in notebook mode, `$IPJOB_READY_URL`
    /// is Jupyter's address; the output goes to `ipjob-on-ready.log` in the profile's log directory. The command is ended with the job; if it fails,
    /// ipjob only warns [default: none].
    #[arg(long, env = "IPJOB_ON_READY", value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub on_ready: Option<String>,

    /// Start the engines in this running job of yours and everything else here, e.g. on a login node [default: the job that ipjob runs in].
    #[arg(long, env = "IPJOB_JOBID", value_name = "JOB", value_parser = values::job, help_heading = "Engines")]
    pub jobid: Option<String>,

    /// Number of engines, at most the job's CPUs [default: the job's tasks; if it has one task per node, the CPUs of all
    /// tasks; without a job, this machine's CPUs].
    #[arg(short = 'n', long, env = "IPJOB_ENGINES", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_ENGINES), allow_negative_numbers = true, help_heading = "Engines")]
    pub engines: Option<u32>,

    /// Start with at least N engines if the rest have not registered before the timeout [default: all].
    #[arg(long, env = "IPJOB_MIN_ENGINES", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_ENGINES), allow_negative_numbers = true, help_heading = "Engines")]
    pub min_engines: Option<u32>,

    /// How to start the engines.
    #[arg(long, value_enum, env = "IPJOB_LAUNCHER", default_value_t = LauncherArgument::Auto, value_name = "LAUNCHER", help_heading = "Engines")]
    pub launcher: LauncherArgument,

    /// How to create the engines of a node.
    #[arg(long, value_enum, env = "IPJOB_ENGINE_START", default_value_t = EngineStart::Auto, value_name = "WAY", help_heading = "Engines")]
    pub engine_start: EngineStart,

    /// Modules to import before engines count as ready, once per node where engines are forked: `auto` (numpy, if it is installed), `off`, or a
    /// list separated by commas. A random number that a module draws at import is then the same in all engines of a node, as is all that it reads.
    #[arg(long, env = "IPJOB_PRELOAD", value_name = "MODULES", default_value = "auto", value_parser = values::preload, help_heading = "Engines")]
    pub preload: Preload,

    /// Restart engines that have ended or that the hub has dropped, up to five times in a row [default: off; `set` for an MPI world in notebook mode].
    #[arg(
        long,
        value_enum,
        env = "IPJOB_RESPAWN",
        value_name = "WHICH",
        help_heading = "Engines"
    )]
    pub respawn: Option<Respawn>,

    /// Use this program instead of srun or mpiexec, e.g. ibrun [default: none].
    #[arg(
        long,
        env = "IPJOB_LAUNCHER_COMMAND",
        value_name = "PATH",
        value_hint = ValueHint::CommandName,
        help_heading = "Engines"
    )]
    pub launcher_command: Option<String>,

    /// Make the engines one MPI world: `auto` (if ipengine's Python has mpi4py), `none`, or a type of `srun --mpi`.
    #[arg(long, env = "IPJOB_MPI", value_name = "TYPE", default_value = "auto", value_parser = values::mpi, help_heading = "Engines")]
    pub mpi: Mpi,

    /// Additional argument for srun or mpiexec; may be repeated [default: none].
    #[arg(
        long = "srun-arg",
        env = "IPJOB_SRUN_ARG",
        value_name = "ARG",
        allow_hyphen_values = true,
        help_heading = "Engines"
    )]
    pub srun_args: Vec<String>,

    /// Command to run ipengine with, split at spaces, e.g. for GPU selection or a container [default: none].
    #[arg(
        long,
        env = "IPJOB_ENGINE_WRAPPER",
        value_name = "CMD",
        value_hint = ValueHint::CommandString,
        help_heading = "Engines"
    )]
    pub engine_wrapper: Option<String>,

    /// What to bind each engine to.
    #[arg(long, value_enum, env = "IPJOB_BIND", default_value_t = Bind::Auto, value_name = "WHAT", help_heading = "Engines")]
    pub bind: Bind,

    /// Threads that the numerical libraries of each engine use: `auto` for as many as the engine has CPUs, unless `OMP_NUM_THREADS`,
    /// `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS`, `NUMEXPR_NUM_THREADS` or `BLIS_NUM_THREADS` is already set; N; or `off` to set
    /// none of these variables.
    #[arg(long, env = "IPJOB_THREADS", value_name = "N", default_value = "auto", value_parser = values::threads, allow_negative_numbers = true, help_heading = "Engines")]
    pub threads: Threads,

    /// Give every engine a nanny, a second Python that relays interrupts and signals to it. Without nannies, engines start
    /// faster and need less memory; ipjob then relays signals itself, but only with `--launcher local` and no --engine-wrapper.
    #[arg(long, value_enum, env = "IPJOB_NANNY", default_value_t = Nanny::Auto, value_name = "NANNY", help_heading = "Engines")]
    pub nanny: Nanny,

    /// Additional argument for every ipengine; may be repeated [default: none].
    #[arg(
        long = "engine-arg",
        env = "IPJOB_ENGINE_ARG",
        value_name = "ARG",
        allow_hyphen_values = true,
        help_heading = "Engines"
    )]
    pub engine_args: Vec<String>,

    /// Additional argument for ipcontroller; may be repeated [default: none].
    #[arg(
        long = "controller-arg",
        env = "IPJOB_CONTROLLER_ARG",
        value_name = "ARG",
        allow_hyphen_values = true,
        help_heading = "Controller"
    )]
    pub controller_args: Vec<String>,

    /// Address of the controller: an IPv4 address or the name of an interface [default: in a job, the address that the other
    /// nodes can reach; without a job, and with --launcher local, 127.0.0.1].
    #[arg(
        long,
        env = "IPJOB_ADDRESS",
        value_name = "IP|INTERFACE",
        help_heading = "Controller"
    )]
    pub address: Option<String>,

    /// Port range for ipcontroller (it needs 18): FIRST-LAST [default: any free ports].
    #[arg(long, env = "IPJOB_CONTROLLER_PORTS", value_name = "RANGE", value_parser = values::controller_ports, help_heading = "Controller")]
    pub controller_ports: Option<PortRange>,

    /// Encrypt all traffic of the controller and the engines (CURVE). Clients and engines read the public key from their
    /// connection files. `auto` encrypts wherever ipyparallel can (7.1 and later).
    #[arg(
        long,
        value_enum,
        env = "IPJOB_CURVE",
        default_value_t = Curve::Auto,
        value_name = "WHEN",
        help_heading = "Controller"
    )]
    pub curve: Curve,

    /// Jupyter front end: `lab`, `notebook` (7, or the classic 6), `server`, or the path of a program that accepts a Jupyter
    /// server's arguments.
    #[arg(long, env = "IPJOB_FRONTEND", value_name = "FRONTEND", value_hint = ValueHint::FilePath, default_value = "lab", value_parser = values::frontend, help_heading = "Jupyter")]
    pub frontend: Frontend,

    /// Address of Jupyter: an IPv4 address or the name of an interface [default: the controller's].
    #[arg(
        long,
        env = "IPJOB_JUPYTER_ADDRESS",
        value_name = "IP|INTERFACE",
        help_heading = "Jupyter"
    )]
    pub jupyter_address: Option<String>,

    /// Port range for Jupyter: FIRST-LAST.
    #[arg(long, env = "IPJOB_PORT_RANGE", value_name = "RANGE", default_value = "8000-9999", value_parser = values::port_range, help_heading = "Jupyter")]
    pub port_range: PortRange,

    /// Port of Jupyter, for a portal or anything else that must know it in advance; --port-range is then ignored [default: a free
    /// port in --port-range].
    #[arg(long, env = "IPJOB_JUPYTER_PORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true, help_heading = "Jupyter")]
    pub jupyter_port: Option<u16>,

    /// File with Jupyter's token, which its login form also accepts as a password: 8 to 128 letters and digits. Nobody else
    /// may be able to read the file; without --detach it may be a pipe, as in bash `<(echo "$password")`. A Jupyter that is not a
    /// Python script gets a random token when it is restarted [default: none; the token is random].
    #[arg(
        long,
        env = "IPJOB_JUPYTER_TOKEN_FILE",
        value_name = "PATH",
        help_heading = "Jupyter"
    )]
    pub jupyter_token_file: Option<PathBuf>,

    /// Root directory of Jupyter's file browser [default: the working directory].
    #[arg(
        long,
        env = "IPJOB_ROOT_DIR",
        value_name = "DIR",
        help_heading = "Jupyter"
    )]
    pub root_dir: Option<PathBuf>,

    /// Name of the profile, as in `ipp.Client(profile="job_local")` [default: `job_<JOBID>`, or `job_local`
    /// without Slurm, followed by `-2` and so on if another cluster uses that name].
    #[arg(
        long,
        env = "IPJOB_PROFILE",
        value_name = "NAME",
        help_heading = "Files"
    )]
    pub profile: Option<String>,

    /// IPython directory for the profile [default: $IPYTHONDIR, or ~/.ipython].
    #[arg(
        long,
        env = "IPJOB_IPYTHON_DIR",
        value_name = "DIR",
        help_heading = "Files"
    )]
    pub ipython_dir: Option<PathBuf>,

    /// Write a second copy of the record to this file [default: none].
    #[arg(
        long,
        env = "IPJOB_RECORD",
        value_name = "PATH",
        help_heading = "Files"
    )]
    pub record: Option<PathBuf>,

    /// Start everything at once, with ports and connection files that ipjob creates, or the controller first, with its own
    /// [default: overlapped; sequential if the controller's configuration or --controller-arg sets the ports].
    #[arg(
        long,
        value_enum,
        env = "IPJOB_START",
        value_name = "ORDER",
        help_heading = "Time"
    )]
    pub start: Option<Start>,

    /// Time limit for the whole start or, after the name of a service (controller, engines, jupyter), for that service:
    /// `3m`, `engines=90s`; may be repeated or separated by commas. A plain number is in seconds [default: 3m].
    #[arg(long, env = "IPJOB_START_TIMEOUT", value_name = "[SERVICE=]TIME", value_parser = values::start_limit, value_delimiter = ',', help_heading = "Time")]
    pub start_timeout: Vec<StartLimit>,

    /// Time limit for the shutdown: Jupyter and the engines get two fifths each, the controller one. What has not ended by
    /// then is killed.
    #[arg(long, env = "IPJOB_STOP_TIMEOUT", value_name = "TIME", default_value = "15s", value_parser = values::duration, help_heading = "Time")]
    pub stop_timeout: Duration,

    /// Begin the shutdown this long before the Slurm job's time limit [default: 1m, or a tenth of a shorter limit].
    #[arg(long, env = "IPJOB_STOP_BEFORE", value_name = "TIME", value_parser = values::duration, help_heading = "Time")]
    pub stop_before: Option<Duration>,

    /// End the job, after a warning, when no kernel, engine or client has done anything for this long; not available with the
    /// launcher `ranks` [default: off].
    #[arg(long, env = "IPJOB_IDLE_TIMEOUT", value_name = "TIME", value_parser = values::idle, help_heading = "Time")]
    pub idle_timeout: Option<Duration>,
}

/// The process that a job is to end with.
fn followed(pid: u32) -> Outcome<Followed> {
    let living = process::stat(pid).filter(process::Stat::runs);
    let Some(stat) = living else {
        return Err(
            Failure::usage(format!("--follow {pid}: no such process on this machine")).hint(
                "give the process id of a program that runs on this machine, e.g. $$ of a shell",
            ),
        );
    };
    Ok(Followed {
        pid,
        start: stat.start,
        name: process::name(pid),
    })
}

impl RunOptions {
    /// Whether nothing but this machine is used, whatever a Slurm job offers: engines are local.
    #[must_use]
    pub fn uses_this_machine_alone(&self) -> bool {
        matches!(self.launcher, LauncherArgument::Local)
    }

    /// The launcher that was asked for; `None` is what fits.
    #[must_use]
    pub fn launcher(&self) -> Option<Launcher> {
        self.launcher.into()
    }

    /// How much is shown.
    #[must_use]
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    /// The settings, with defaults filled in; `job` is the job id as it stands in profile names.
    pub fn settings(&self, job: &str) -> Outcome<Settings> {
        let Some(mode) = self.mode else {
            return Err(Failure::usage("--mode is missing")
                .hint("--mode notebook starts engines and Jupyter, --mode cluster-only engines alone; see `ipjob --help`"));
        };
        self.check_detach()?;
        working_directory()?;
        Ok(Settings {
            mode,
            launcher: self.launcher(),
            launcher_command: self.launcher_command.clone(),
            mpi: self.mpi.clone(),
            srun_args: self.srun_args.clone(),
            engine_start: self.engine_start,
            bind: self.bind,
            threads: self.threads,
            preload: self.preload.clone(),
            respawn: self.respawn,
            engine_wrapper: self
                .engine_wrapper
                .as_deref()
                .map(|text| text.split_ascii_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            address: self.address.clone(),
            jupyter_address: self.jupyter_address.clone(),
            engines: self.engines,
            min_engines: self.min_engines,
            nanny: self.nanny,
            engine_args: self.engine_args.clone(),
            controller_args: self.controller_args.clone(),
            controller_ports: self.controller_ports,
            port_range: self.jupyter_port.map_or(self.port_range, PortRange::one),
            // As a site's default is taken back: IPJOB_ON_READY=
            on_ready: self.on_ready.clone().filter(|text| !text.trim().is_empty()),
            jupyter_token_file: self.jupyter_token_file.clone(),
            curve: self.curve,
            frontend: self.frontend.clone(),
            root_dir: self.root_dir.as_deref().map(root_dir).transpose()?,
            profile: profile_name(self.profile.as_deref(), job)?,
            ipython_dir: ipython_dir(self.ipython_dir.as_deref())?,
            record: self.record.as_deref().map(record).transpose()?,
            starting: self.start,
            start: self.start_limits(),
            stop: self.stop_timeout,
            stop_before: self.stop_before,
            idle: self.idle_timeout,
            detach: self.detach || self.detached,
            follow: self.follow.map(followed).transpose()?,
            arguments: self.arguments.clone(),
        })
    }

    /// What goes with --detach, and what does not.
    fn check_detach(&self) -> Outcome<()> {
        let detach = self.detach || self.detached;
        if detach && self.mode == Some(Mode::ClusterOnly) && !self.arguments.is_empty() {
            return Err(
                Failure::usage("--detach cannot be used with a driver COMMAND").hint(
                    "leave --detach out: the job ends when its driver does, with the same exit code",
                ),
            );
        }
        if self.json && !detach {
            return Err(Failure::usage("--json needs --detach")
                .hint("a program reads about a job in the foreground in its record; --record PATH writes a copy where you want it"));
        }
        Ok(())
    }

    fn start_limits(&self) -> StartLimits {
        let mut limits = StartLimits {
            whole: START_TIMEOUT,
            services: std::collections::BTreeMap::new(),
        };
        for limit in &self.start_timeout {
            match limit.service {
                Some(name) => {
                    limits.services.insert(name, limit.time);
                }
                None => limits.whole = limit.time,
            }
        }
        limits
    }
}
