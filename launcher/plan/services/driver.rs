//! The user's own command in cluster-only mode.

use super::Context;
use crate::failure::{Failure, Outcome};
use crate::plan::environment;
use crate::plan::name::Name;
use crate::plan::service::{Asking, Process, Readiness, Service, Streams};

/// The driver: started when the engines are ready; its end is the job's, with its exit code.
pub fn driver(context: &Context) -> Outcome<Service> {
    let (Some(program), Some((_, args))) = (
        context.here.driver.clone(),
        context.settings.arguments.split_first(),
    ) else {
        return Err(Failure::usage("the driver COMMAND after `--` is empty"));
    };
    Ok(Service {
        name: Name::Driver,
        after: vec![Name::Controller, Name::Engines],
        processes: vec![Process {
            program,
            args: args.to_vec(),
            log: context.profile.log(Name::Driver, 0),
        }],
        carried: Vec::new(),
        environment: environment::of(Name::Driver, context),
        streams: Streams::Inherited,
        port: None,
        ready: Readiness::Started,
        asking: Asking::Signal,
        start_limit: context.settings.start.of(Name::Driver),
        restart_limit: context.settings.start.again(Name::Driver),
        stop_limit: context.stop_limit(Name::Driver),
    })
}
