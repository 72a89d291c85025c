//! The limit of open files, which the controller needs more of with every engine.

use crate::failure::{Failure, Outcome};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors of the busiest process of a controller without engines (measured: 53 at the most).
const CONTROLLER_FILES: u64 = 64;

/// Descriptors that each engine adds to it (measured: 2 in the heartmonitor, 1 in each queue).
const FILES_PER_ENGINE: u64 = 2;

/// Raises the soft limit of open files to the hard one, which all children inherit. Tells the limit where it had to be
/// raised for this many engines.
pub fn raise_open_files(engines: u32) -> Outcome<Option<u64>> {
    let needed = CONTROLLER_FILES + FILES_PER_ENGINE * u64::from(engines);
    let (soft, hard) = open_files()?;
    if hard < needed {
        return Err(Failure::missing(format!(
            "{engines} engines need {needed} open files in the controller, and the hard limit here is {hard}"
        ))
        .hint("start fewer engines, or ask for a higher limit (`ulimit -Hn`, LimitNOFILE)"));
    }
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|error| {
            Failure::missing(format!(
                "the limit of open files cannot be raised to {hard}"
            ))
            .because(error)
        })?;
    }
    Ok((soft < needed).then_some(hard))
}

/// The soft and the hard limit of open files.
pub fn open_files() -> Outcome<(u64, u64)> {
    getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|error| Failure::missing("the limit of open files cannot be read").because(error))
}

/// How many engines a controller can hold with so many open files.
#[must_use]
pub fn most_engines(files: u64) -> u64 {
    files.saturating_sub(CONTROLLER_FILES) / FILES_PER_ENGINE
}
