//! The command of one engine, built once and handed to each launcher.

use super::{Context, with_users};
use crate::plan::settings::Settings;
use crate::plan::task_lines::{SIGHT_CODE, WORLD_CODE};
use crate::plan::text::Text;
use crate::plan::{bind, threads};
use core::time::Duration;
use std::path::{Path, PathBuf};

/// The module that imports what `--preload` names.
pub const PRELOAD_NAME: &str = "preload";

/// Its program, which ipjob carries with it.
pub const PRELOAD: &str = include_str!("../../engine/preload.py");

/// The argument that has an engine read it.
pub const CONFIG_FILE: &str = "--IPEngine.extra_config_file=";

/// The argument of an engine without a nanny.
pub const NO_NANNY: &str = "--IPEngine.enable_nanny=False";

/// The variable that names the modules.
pub const PRELOAD_VARIABLE: &str = "IPJOB_ENGINE_PRELOAD";

/// What is said of engines that are started by themselves after a Python that was to fork them broke.
pub const WITHOUT_PRELOAD: &str =
    "; they do not import numpy when they start, as with --preload off";

/// The modules as `engine/preload.py` finds them.
pub fn preload_variable(settings: &Settings) -> Option<(String, Text)> {
    let order = settings.preload.order()?;
    Some((PRELOAD_VARIABLE.to_owned(), Text::Plain(order)))
}

/// What starts one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineCommand {
    /// The words of `--engine-wrapper`.
    wrapper: Vec<String>,
    /// The program.
    pub ipengine: PathBuf,
    /// The arguments of every engine.
    args: Vec<String>,
    /// Further ones of an engine that is one rank of an MPI world.
    in_world: Vec<String>,
    /// Further ones of any other.
    alone: Vec<String>,
    /// After so long without use the job ends itself.
    idle_limit: Option<Duration>,
    /// How many threads its task gives to it.
    threads: Option<threads::Rule>,
    /// What its task is bound to.
    bind: Option<bind::Rule>,
    /// Whether it has no nanny where it was to be forked and is not.
    alone_without_nanny: bool,
}

impl EngineCommand {
    /// The command; whether its Python is `forked` decides what a nanny of it may be.
    pub fn new(context: &Context, forked: bool) -> Self {
        let sight = context.bind.map(|_| SIGHT_CODE);
        let tells = |codes: &[&str]| {
            let tells = !codes.is_empty() && tells_its_world(context.settings);
            tells.then(|| format!("--IPEngine.startup_command={}", codes.join(", ")))
        };
        let in_world: Vec<&str> = std::iter::once(WORLD_CODE).chain(sight).collect();
        let in_world = std::iter::once("--mpi".to_owned()).chain(tells(&in_world));
        Self {
            wrapper: context.settings.engine_wrapper.clone(),
            ipengine: context.here.ipengine.clone(),
            args: arguments(context, forked),
            in_world: in_world.collect(),
            alone: tells(sight.as_slice()).into_iter().collect(),
            idle_limit: context.settings.idle,
            threads: context.threads,
            bind: context.bind,
            alone_without_nanny: forked
                && without_nannies(context, false)
                && !without_nannies(context, true),
        }
    }

    /// Its words: wrapper, program, arguments.
    pub fn words(&self, in_world: bool) -> Vec<String> {
        let mut words = self.wrapper.clone();
        words.push(self.ipengine.display().to_string());
        words.extend(self.args(in_world));
        words
    }

    /// The arguments of an engine, but for its id.
    pub fn args(&self, in_world: bool) -> Vec<String> {
        let further = if in_world {
            &self.in_world
        } else {
            &self.alone
        };
        self.args.iter().chain(further).cloned().collect()
    }

    /// The words of a task of another program's that becomes the engine by way of `ipjob engine` with these options.
    pub fn of_task(&self, ipjob: &Path, options: Vec<String>, in_world: bool) -> Vec<String> {
        let mut words = vec![ipjob.display().to_string(), "engine".to_owned()];
        words.extend(options);
        let limit = self.idle_limit;
        words.extend(limit.map(|limit| format!("--idle-limit={}", limit.as_millis())));
        words.extend(self.bind.map(|rule| format!("--bind={rule}")));
        words.extend(self.threads.map(|rule| format!("--threads={rule}")));
        words.extend(
            self.alone_without_nanny
                .then(|| "--alone-without-nanny".to_owned()),
        );
        words.push("--".to_owned());
        words.extend(self.words(in_world));
        words
    }
}

/// The option of `ipjob engine` by which this Python forks what tasks become.
pub fn forked_by(python: Option<&Path>) -> Vec<String> {
    python
        .map(|python| format!("--fork={}", python.display()))
        .into_iter()
        .collect()
}

/// Whether engines tell the size of their MPI world, and what they are bound to: ipengine runs one command at its start, and the user's own goes first.
pub fn tells_its_world(settings: &Settings) -> bool {
    let command = |arg: &String| arg.starts_with("-c") || arg.contains("startup_command");
    !settings.engine_args.iter().any(command)
}

/// Whether engines read the configuration file that preloads modules, and gives MPI fresh memory: they take only one beside the profile's, and
/// the user's own goes first.
pub fn preloads(context: &Context) -> bool {
    let is_file = |arg: &String| {
        let name = arg.split('=').next().unwrap_or_default();
        name == "--config" || name.ends_with(".extra_config_file")
    };
    let settings = context.settings;
    let has_work = settings.preload.order().is_some() || context.here.makes_a_world();
    has_work && !settings.engine_args.iter().any(is_file)
}

/// What keeps nannies from starting: an engine takes the first line of its nanny's output for its address (nanny.py), and a Python
/// of this site prints a line of its own before it. A forked nanny is no Python that starts.
pub fn nanny_fails<'a>(context: &'a Context, forked: bool) -> Option<&'a str> {
    let printed = context.here.python_prints.as_deref();
    printed.filter(|_| context.nanny && !forked)
}

/// Whether no engine has a nanny, as its arguments say where its Python is `forked` or not: the user's own count as well.
pub fn without_nannies(context: &Context, forked: bool) -> bool {
    arguments(context, forked).iter().any(|arg| arg == NO_NANNY)
}

/// The arguments that every ipengine gets.
fn arguments(context: &Context, forked: bool) -> Vec<String> {
    let patience = context.settings.start.whole.as_secs().max(1);
    let mut defaults = vec![
        format!("--IPEngine.timeout={patience}"),
        // A network's file system may show the connection file to other nodes much later.
        format!("--IPEngine.wait_for_url_file={patience}"),
        // From rank 100 on engines of an MPI world would wait 20 ms per rank, rank 1000 for 20 s, to spare a hub that takes
        // thousands of registrations at once.
        "--IPEngine.mpi_registration_delay=0".to_owned(),
        format!(
            "--IPEngine.max_heartbeat_misses={}",
            context.heartbeat.engine_misses(context.engines)
        ),
    ];
    if !context.nanny || nanny_fails(context, forked).is_some() {
        defaults.push(NO_NANNY.to_owned());
    }
    if preloads(context) {
        let file = context.profile.module(PRELOAD_NAME);
        defaults.push(format!("{CONFIG_FILE}{}", file.display()));
    }
    let mut args = vec![
        context.profile_dir_argument(),
        context.cluster_id_argument(),
    ];
    args.extend(with_users(defaults, &context.settings.engine_args));
    args
}
