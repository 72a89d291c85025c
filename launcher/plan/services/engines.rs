//! The engines.

use super::{Context, mpiexec, ranks, srun, srun_variables, with_users};
use crate::failure::Outcome;
use crate::plan::environment;
use crate::plan::name::Name;
use crate::plan::rendezvous::Order;
use crate::plan::service::{Asking, Process, Readiness, Service, Streams};
use crate::plan::settings::{Launcher, Settings};
use crate::plan::task_lines::WORLD_CODE;
use std::path::Path;

/// The variable from which ipengine takes what is else in its connection file (8.0 and later): no argv shows it.
pub const CONNECTION_INFO: &str = "IPP_CONNECTION_INFO";

/// The engines, started by this launcher; with `ranks` also how the other ranks start theirs.
pub fn engines(context: &Context, launcher: Launcher) -> Outcome<(Service, Option<Order>)> {
    let mut environment = environment::of(Name::Engines, context);
    let mut order = None;
    let processes = match launcher {
        Launcher::Local => local(context),
        Launcher::Srun => {
            let slurm = context.allocation.slurm.as_ref();
            environment
                .dropped
                .extend(srun_variables::dropped(&context.here.environment, slurm));
            // For nodes that do not share the profile directory. ipyparallel 7 does not read it.
            if context.here.ipyparallel.major() >= 8 {
                let file = context.profile.own_engine_file();
                environment
                    .from_files
                    .insert(CONNECTION_INFO.to_owned(), file);
            }
            vec![srun::step(context)?]
        }
        Launcher::Mpiexec => {
            // Handed on to all nodes, it is the name of this one.
            environment.dropped.push("SLURMD_NODENAME".to_owned());
            vec![mpiexec::start(context)?]
        }
        Launcher::Ranks => {
            let order = order.insert(ranks::order(context, &environment)?);
            if order.keeps_mpi {
                // They hold for this rank's engine: ipjob stands where the starter expects it.
                let left = |variable: &String| {
                    let ranks = context.here.ranks.as_ref();
                    ranks.is_some_and(|ranks| ranks.leftovers.contains(variable))
                };
                environment
                    .dropped
                    .retain(|variable| !environment::is_of_mpi(variable) || left(variable));
            }
            (0..context.engines)
                .map(|rank| order.process(rank))
                .collect()
        }
    };
    let service = Service {
        name: Name::Engines,
        after: context.after(),
        processes,
        carried: Vec::new(),
        environment,
        streams: Streams::Log,
        port: None,
        ready: Readiness::Engines {
            expected: context.engines,
            minimum: context.minimum,
            step: matches!(launcher, Launcher::Srun | Launcher::Mpiexec),
            world: order.as_ref().is_some_and(|order| order.world),
        },
        asking: match &context.here.srun {
            Some(srun) if launcher == Launcher::Srun => Asking::Scancel(srun.scancel.clone()),
            _ => Asking::Signal,
        },
        start_limit: context.settings.start.of(Name::Engines),
        restart_limit: context.settings.start.again(Name::Engines),
        stop_limit: context.stop_limit(Name::Engines),
    };
    Ok((service, order))
}

/// N processes of `ipengine` on this machine, each with its own id and log.
fn local(context: &Context) -> Vec<Process> {
    (0..context.engines)
        .map(|index| {
            let mut args = arguments(context, false);
            // Without it ids go by arrival; a busy id is refused politely (the engine takes the next free one).
            args.push(format!("--IPEngine.id={index}"));
            Process {
                program: context.here.ipengine.clone(),
                args,
                log: context.profile.log(Name::Engines, index),
            }
        })
        .collect()
}

/// Whether engines tell the size of their MPI world: ipengine runs one command at its start, and the user's own goes first.
pub fn tells_its_world(settings: &Settings) -> bool {
    let command = |arg: &String| arg.starts_with("-c") || arg.contains("startup_command");
    !settings.engine_args.iter().any(command)
}

/// The arguments of an ipengine that is one rank of an MPI world.
pub(super) fn in_a_world(context: &Context) -> Vec<String> {
    let mut args = vec!["--mpi".to_owned()];
    if tells_its_world(context.settings) {
        args.push(format!("--IPEngine.startup_command={WORLD_CODE}"));
    }
    args
}

/// The words by which another program's tasks run ours, before the engine's own command.
/// It has the engine forked by this Python.
pub(super) fn task(context: &Context, fork: Option<&Path>) -> Vec<String> {
    let mut words = vec!["engine".to_owned()];
    words.extend(fork.map(|python| format!("--fork={}", python.display())));
    let limit = context.settings.idle;
    words.extend(limit.map(|limit| format!("--idle-limit={}", limit.as_millis())));
    words.push("--".to_owned());
    words
}

/// What keeps nannies from starting: an engine takes the first line of its nanny's output for its address (nanny.py), and a Python
/// of this site prints a line of its own before it. A forked nanny is no Python that starts.
pub(super) fn nanny_fails<'a>(context: &'a Context, forked: bool) -> Option<&'a str> {
    let printed = context.here.python_prints.as_deref();
    printed.filter(|_| context.nanny && !forked)
}

/// The arguments that every ipengine gets; whether its Python is `forked` decides what a nanny of it may be.
pub(super) fn arguments(context: &Context, forked: bool) -> Vec<String> {
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
        defaults.push("--IPEngine.enable_nanny=False".to_owned());
    }
    let mut args = vec![
        context.profile_dir_argument(),
        context.cluster_id_argument(),
    ];
    args.extend(with_users(defaults, &context.settings.engine_args));
    args
}
