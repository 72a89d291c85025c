//! The engines.

use super::{Context, with_users};
use crate::plan::environment;
use crate::plan::service::{Name, Process, Readiness, Service, Streams};

/// N processes of `ipengine`, each with its own id and log.
#[must_use]
pub fn engines(context: &Context) -> Service {
    let patience = context.settings.start.whole.as_secs().max(1);
    let processes = (0..context.engines)
        .map(|index| {
            let mut args = vec![
                context.profile_dir_argument(),
                // Without it ids go by arrival; a busy id is refused politely (the engine takes the next free one).
                format!("--IPEngine.id={index}"),
            ];
            let defaults = vec![format!("--IPEngine.timeout={patience}")];
            args.extend(with_users(defaults, &context.settings.engine_args));
            Process {
                program: context.here.ipengine.clone(),
                args,
                log: context.profile.log(Name::Engines, index),
            }
        })
        .collect();
    Service {
        name: Name::Engines,
        after: vec![Name::Controller],
        processes,
        environment: environment::of(Name::Engines, context),
        streams: Streams::Log,
        port: None,
        ready: Readiness::Engines {
            expected: context.engines,
            minimum: context.minimum,
        },
        start_limit: context.settings.start.of(Name::Engines),
        stop_limit: context.stop_limit(Name::Engines),
    }
}
