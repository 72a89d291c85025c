//! The main command: options -> allocation -> plan -> supervisor -> exit code.

use crate::cli::options::RunOptions;
use crate::failure::{Failure, Outcome};
use crate::here::{directory, identity, limits, programs, versions};
use crate::plan::settings::{Frontend, Mode, Settings};
use crate::plan::{Here, Jupyter, Plan, profile, version};
use crate::report::console::Console;
use crate::report::dry_run;
use crate::supervisor::{self, Signals};
use std::path::Path;
use std::time::Duration;

/// Runs the job and tells the exit code.
pub fn run(options: &RunOptions, console: &mut Console) -> Outcome<u8> {
    become_subreaper(console);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failure::missing("the event loop cannot be made").because(error))?;
    runtime.block_on(async {
        // Caught before a program is started or a file is written, so that a request to stop never leaves one.
        let mut signals = Signals::catch()?;
        match signals.unless_asked(plan(options)).await {
            Ok(plan) => carry_out(&plan?, options, signals, console).await,
            Err(by) => {
                console.step(&format!("stopping: {by}"));
                Ok(0)
            }
        }
    })
}

/// What will be started, from the options and what is found here.
async fn plan(options: &RunOptions) -> Outcome<Plan> {
    let allocation = identity::this_machine();
    let settings = options.settings(allocation.job_name())?;
    profile::check_name(&settings.profile)?;
    let incarnation = identity::incarnation(&allocation)?;
    let here = look_around(&settings).await?;
    Plan::new(
        settings,
        allocation,
        incarnation,
        identity::secrets()?,
        &here,
    )
}

/// Runs the plan to its end.
async fn carry_out(
    plan: &Plan,
    options: &RunOptions,
    signals: Signals,
    console: &mut Console,
) -> Outcome<u8> {
    if options.dry_run {
        console.still();
        dry_run::print(plan);
        return Ok(0);
    }
    if let Some(limit) = limits::raise_open_files(plan.engines)? {
        console.step(&format!(
            "the limit of open files was raised to the hard limit, {limit}"
        ));
    }
    let directory =
        directory::prepare(&plan.profile, &plan.incarnation, plan.secrets.key.reveal())?;
    let end = supervisor::run(plan, &directory, signals, console).await?;
    if let Some(failure) = &end.failure {
        console.failure(failure);
    }
    Ok(end.code)
}

/// Orphans of the tree become our children, so that none escapes the last sweep. Without it (an emulator that lacks the call)
/// all that still carries our incarnation is found, which is every program that does not clean its environment.
fn become_subreaper(console: &Console) {
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        console.warning(&format!(
            "orphans cannot be adopted here ({error}): a program that cleans its environment may be left at the end"
        ));
    }
}

/// Finds what the plan needs of this machine.
async fn look_around(settings: &Settings) -> Outcome<Here> {
    let limit = settings.start.whole;
    let ipcontroller = programs::find("ipcontroller", "ipyparallel")?;
    let ipengine = programs::find("ipengine", "ipyparallel")?;
    let ipyparallel = versions::of(&ipcontroller, "ipyparallel", limit).await?;
    version::check_ipyparallel(&ipyparallel)?;
    let jupyter = match settings.mode {
        Mode::Notebook => Some(find_jupyter(&settings.frontend, limit).await?),
        Mode::ClusterOnly => None,
    };
    let driver = match (settings.mode, settings.arguments.first()) {
        (Mode::ClusterOnly, Some(program)) => Some(programs::find(program, program)?),
        _ => None,
    };
    Ok(Here {
        ipcontroller,
        ipengine,
        ipyparallel,
        jupyter,
        driver,
        root: nix::unistd::geteuid().is_root(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .collect(),
        runtime_dir_is_ours: identity::owns_xdg_runtime_dir(),
    })
}

/// Finds the front end and which family of options it understands.
async fn find_jupyter(frontend: &Frontend, limit: Duration) -> Outcome<Jupyter> {
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
