//! How many engines are started, how few are accepted, and whether one that ends is replaced.

use super::allocation::Allocation;
use super::settings::{Launcher, Respawn, Settings};
use crate::failure::{Failure, Outcome};

/// Memory that one engine and its nanny need at the least, in bytes: 55 MB + 43 MB resident were measured for
/// ipyparallel 9.2, of which about two thirds are not shared.
const BYTES_PER_ENGINE: u64 = 64 << 20;

/// Refuses to replace engines that are not this machine's own processes.
pub fn check_respawn(settings: &Settings, launcher: Launcher) -> Outcome<()> {
    if settings.respawn == Respawn::Off || launcher == Launcher::Local {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--respawn engine is for --launcher local, not {launcher}: the engines of one step start and end together"
    ))
    .hint("leave it out: without MPI the job goes on with the engines that are left"))
}

/// The number of engines expected, and the fewest that are accepted when the time is up.
pub fn count(
    settings: &Settings,
    allocation: &Allocation,
    launcher: Launcher,
) -> Outcome<(u32, u32)> {
    let expected = settings.engines.unwrap_or(allocation.tasks);
    let minimum = settings.min_engines.unwrap_or(expected);
    check_minimum(expected, minimum)?;
    // Where mpiexec starts them is its own to know.
    if let (Some(free), Launcher::Local) = (allocation.free_memory, launcher) {
        let needed = u64::from(expected) * BYTES_PER_ENGINE;
        if needed > free {
            return Err(Failure::missing(format!(
                "{expected} engines need about {}, and {} has {} free",
                gigabytes(needed),
                allocation
                    .nodes
                    .first()
                    .map_or("this machine", String::as_str),
                gigabytes(free),
            ))
            .hint(format!(
                "-n {} is the most that fits",
                (free / BYTES_PER_ENGINE).max(1)
            )));
        }
    }
    Ok((expected, minimum))
}

/// Refuses a minimum that cannot be reached.
pub fn check_minimum(expected: u32, minimum: u32) -> Outcome<()> {
    if minimum <= expected {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--min-engines {minimum} is more than the {expected} engines that will be started"
    ))
    .hint("give a smaller --min-engines, or more engines with -n"))
}

/// Ids that a message names, or shows the logs of.
pub const SHOWN: usize = 8;

/// `engine 3`, `engines 1, 2 and 3 more`: short at any number.
#[must_use]
pub fn named(what: &str, ids: &[u32]) -> String {
    let shown: Vec<String> = ids.iter().take(SHOWN).map(u32::to_string).collect();
    let more = ids.len().saturating_sub(SHOWN);
    match (ids.len(), more) {
        (1, _) => format!("{what} {}", shown.join("")),
        (_, 0) => format!("{what}s {}", shown.join(", ")),
        (_, more) => format!("{what}s {} and {more} more", shown.join(", ")),
    }
}

/// Bytes as a person reads them: "6.1 GB".
fn gigabytes(bytes: u64) -> String {
    let tenths = bytes / (1 << 30) * 10 + bytes % (1 << 30) * 10 / (1 << 30);
    format!("{}.{} GB", tenths / 10, tenths % 10)
}
