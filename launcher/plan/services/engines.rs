//! The engines.

use super::engine_command::{EngineCommand, PRELOAD, PRELOAD_NAME, preload_variable, preloads};
use super::{Context, mpiexec, ranks, srun, srun_variables};
use crate::failure::Outcome;
use crate::plan::environment;
use crate::plan::name::Name;
use crate::plan::rendezvous::Order;
use crate::plan::service::{Asking, Process, Readiness, Service, Streams};
use crate::plan::settings::Launcher;
use crate::plan::share::Provision;
use crate::plan::text::Text;
use crate::plan::threads;
use std::path::{Path, PathBuf};

/// The variable from which ipengine takes what is else in its connection file (8.0 and later): no argv shows it.
pub const CONNECTION_INFO: &str = "IPP_CONNECTION_INFO";

/// The engines, started by this launcher, those of tasks forked by this Python; with `ranks` also how the other ranks start theirs.
pub fn engines(
    context: &Context,
    launcher: Launcher,
    python: Option<&Path>,
    provisions: &[Provision],
) -> Outcome<(Service, Option<Order>)> {
    let of_tasks = python.filter(|_| launcher != Launcher::Local);
    let command = EngineCommand::new(context, of_tasks.is_some());
    let mut environment = environment::of(Name::Engines, context);
    environment.set.extend(preload_variable(context.settings));
    let mut order = None;
    let processes = match launcher {
        Launcher::Local => local(context, &command),
        Launcher::Srun => {
            let slurm = context.allocation.slurm.as_ref();
            environment
                .dropped
                .extend(srun_variables::dropped(&context.here.environment, slurm));
            // Where the site has `OOMKillStep`, all engines would die with the first that takes too much, and Slurm would not tell
            // which that was. An older srun does not read it.
            let one = Text::Plain("0".to_owned());
            environment
                .set
                .insert("SLURM_OOM_KILL_STEP".to_owned(), one);
            // For nodes that do not share the profile directory. ipyparallel 7 does not read it.
            if context.here.ipyparallel.major() >= 8 {
                let file = context.profile.own_engine_file();
                environment
                    .from_files
                    .insert(CONNECTION_INFO.to_owned(), file);
            }
            vec![srun::step(context, &command, of_tasks)?]
        }
        Launcher::Mpiexec => {
            mpiexec::shape(context, &mut environment);
            vec![mpiexec::start(context, &command, of_tasks)?]
        }
        Launcher::Ranks => {
            let order = order.insert(ranks::order(context, &environment, &command)?);
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
    // Of what forks them as well: a library that is imported there reads them then.
    let threads = provisions.first().and_then(|own| own.share.threads);
    let variables = threads.into_iter().flat_map(threads::variables);
    let variables = variables.map(|(name, text)| (name.to_owned(), Text::Plain(text)));
    environment.set.extend(variables);
    let service = Service {
        name: Name::Engines,
        after: context.after(),
        processes,
        carried: preloads(context)
            .then(|| context.module(PRELOAD_NAME, PRELOAD))
            .into_iter()
            .collect(),
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
fn local(context: &Context, command: &EngineCommand) -> Vec<Process> {
    (0..context.engines)
        .map(|index| {
            let mut args = command.words(false);
            // Without it ids go by arrival; a busy id is refused politely (the engine takes the next free one).
            args.push(format!("--IPEngine.id={index}"));
            Process {
                program: PathBuf::from(args.remove(0)),
                args,
                log: context.profile.log(Name::Engines, index),
            }
        })
        .collect()
}
