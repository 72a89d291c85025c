//! The engines.

use super::{Context, srun, with_users};
use crate::failure::Outcome;
use crate::plan::environment;
use crate::plan::service::{Asking, Name, Process, Readiness, Service, Streams};
use crate::plan::settings::Launcher;

/// The variable from which ipengine takes what is else in its connection file (8.0 and later): no argv shows it.
pub const CONNECTION_INFO: &str = "IPP_CONNECTION_INFO";

/// The engines, started by this launcher.
pub fn engines(context: &Context, launcher: Launcher) -> Outcome<Service> {
    let processes = match launcher {
        Launcher::Local => local(context),
        Launcher::Srun => vec![srun::step(context)?],
    };
    let mut environment = environment::of(Name::Engines, context);
    if launcher == Launcher::Srun {
        environment
            .dropped
            .extend(srun::leaks(&context.here.environment));
        // For nodes that do not share the profile directory. ipyparallel 7 does not read it.
        if context.here.ipyparallel.major() >= 8 {
            environment.from_files.insert(
                CONNECTION_INFO.to_owned(),
                context.profile.own_engine_file(),
            );
        }
    }
    Ok(Service {
        name: Name::Engines,
        after: vec![Name::Controller],
        processes,
        environment,
        streams: Streams::Log,
        port: None,
        ready: Readiness::Engines {
            expected: context.engines,
            minimum: context.minimum,
            step: launcher == Launcher::Srun,
        },
        asking: match &context.here.srun {
            Some(srun) if launcher == Launcher::Srun => Asking::Scancel(srun.scancel.clone()),
            _ => Asking::Signal,
        },
        start_limit: context.settings.start.of(Name::Engines),
        stop_limit: context.stop_limit(Name::Engines),
    })
}

/// N processes of `ipengine` on this machine, each with its own id and log.
fn local(context: &Context) -> Vec<Process> {
    (0..context.engines)
        .map(|index| {
            let mut args = arguments(context);
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

/// The arguments that every ipengine gets, however it is started.
pub(super) fn arguments(context: &Context) -> Vec<String> {
    let patience = context.settings.start.whole.as_secs().max(1);
    let defaults = vec![format!("--IPEngine.timeout={patience}")];
    let mut args = vec![context.profile_dir_argument()];
    args.extend(context.cluster_id_argument());
    args.extend(with_users(defaults, &context.settings.engine_args));
    args
}
