//! The command of `--on-ready`: no service, as nothing waits for it and its end means nothing to the job.

use super::Context;
use crate::plan::environment::{self, READY_RECORD};
use crate::plan::name::Name;
use crate::plan::service::{Environment, Process};
use crate::plan::text::Text;
use std::path::PathBuf;

/// A command that is run once the job is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnReady {
    /// The shell that runs it.
    pub process: Process,
    /// The environment of a driver, and where the record is.
    pub environment: Environment,
}

/// What was asked for.
pub fn on_ready(context: &Context) -> Option<OnReady> {
    let command = context.settings.on_ready.clone()?;
    let mut environment = environment::of(Name::Driver, context);
    let record = context.profile.record().display().to_string();
    environment
        .set
        .insert(READY_RECORD.to_owned(), Text::Plain(record));
    Some(OnReady {
        process: Process {
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".to_owned(), command],
            log: context.profile.log_dir().join("ipjob-on-ready.log"),
        },
        environment,
    })
}
