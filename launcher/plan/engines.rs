//! How many engines are started, how few are accepted, and whether one that ends is replaced.

use super::allocation::Allocation;
use super::settings::{Launcher, Mode, Nanny, Respawn, Settings};
use super::{Here, World};
use crate::failure::{Failure, Outcome};

/// Memory that one engine needs at the least, in bytes: 37 MB that are not shared with others were measured for ipyparallel 9.2.
const BYTES_PER_ENGINE: u64 = 38 << 20;

/// What its nanny needs: 27 MB were measured.
const BYTES_PER_NANNY: u64 = 26 << 20;

/// The engines of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engines {
    /// As many are started.
    pub expected: u32,
    /// As few are accepted when the time is up.
    pub minimum: u32,
    /// Whether each has a nanny.
    pub nanny: bool,
    /// What a person is told of that.
    pub remark: Option<String>,
}

/// Whether engines end together: as one MPI world, or by their launcher.
pub fn end_together(launcher: Launcher, here: &Here) -> bool {
    match launcher {
        Launcher::Local => false,
        Launcher::Srun => here
            .srun
            .as_ref()
            .is_some_and(|srun| srun.mpi != World::None),
        // Without MPI too it ends all when one has ended.
        Launcher::Mpiexec | Launcher::Ranks => true,
    }
}

/// Which engines are started again when they end: what the user says, else a whole world where a notebook would be left without
/// any engine. Refuses what does not fit the way in which the engines hang together. Nothing falls to the other of the two: who
/// keeps data in the engines has chosen how much of it one death may cost.
pub fn respawn(
    settings: &Settings,
    launcher: Launcher,
    here: &Here,
    allocation: &Allocation,
) -> Outcome<Respawn> {
    let world = end_together(launcher, here);
    let Some(respawn) = settings.respawn else {
        let comes_back = world && settings.mode == Mode::Notebook && launcher != Launcher::Ranks;
        return Ok(if comes_back {
            Respawn::Set
        } else {
            Respawn::Off
        });
    };
    let (why, hint) = match respawn {
        Respawn::Off => return Ok(respawn),
        _ if launcher == Launcher::Ranks => (
            "--respawn does not work with --launcher ranks: srun or mpiexec, which started ipjob and the engines, ends all of them when one is lost",
            "leave it out, or start ipjob once and let it start the engines (--launcher srun or mpiexec)",
        ),
        Respawn::Engine if world && launcher == Launcher::Mpiexec => (
            "--respawn engine does not work with --launcher mpiexec, which starts and ends its engines together",
            "--respawn set restarts all of them when one ends; the data of all engines is lost then",
        ),
        Respawn::Engine if world => (
            "--respawn engine does not work for one MPI world, which cannot continue without one of its engines",
            "--respawn set restarts all of them when one ends; --mpi none makes them independent",
        ),
        Respawn::Engine
            if allocation
                .slurm
                .as_ref()
                .is_some_and(|slurm| !slurm.components.is_empty()) =>
        {
            (
                "--respawn engine does not work in heterogeneous jobs: the step of one engine would have to be created in the component of its node",
                "leave it out: the job continues with the engines that are left",
            )
        }
        Respawn::Set if !world => (
            "--respawn set is for engines that form one MPI world; these are independent of each other",
            "--respawn engine restarts only the one that ended",
        ),
        _ => return Ok(respawn),
    };
    Err(Failure::usage(why).hint(hint))
}

/// Refuses to end a job as idle whose engines may compute unseen: the tasks of a step tell of that in its log.
pub fn check_idle(settings: &Settings, launcher: Launcher) -> Outcome<()> {
    if settings.idle.is_none() || launcher != Launcher::Ranks {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--idle-timeout does not work with --launcher {launcher}: the first rank cannot see whether another rank's engine computes"
    ))
    .hint("leave it out, or start ipjob once: it starts the engines itself with srun or mpiexec"))
}

/// How many engines are started, and whether with nannies.
pub fn count(settings: &Settings, allocation: &Allocation, launcher: Launcher) -> Outcome<Engines> {
    let expected = settings.engines.unwrap_or(allocation.engines);
    let minimum = settings.min_engines.unwrap_or(expected);
    check_minimum(expected, minimum)?;
    // Where mpiexec starts them is its own to know.
    let free = allocation
        .free_memory
        .filter(|_| launcher == Launcher::Local);
    let (nanny, remark) = nannies(settings.nanny, expected, free);
    if let Some(free) = free {
        let each = BYTES_PER_ENGINE + if nanny { BYTES_PER_NANNY } else { 0 };
        let needed = u64::from(expected) * each;
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
            .hint(format!("-n {} is the most that fits", (free / each).max(1))));
        }
    }
    Ok(Engines {
        expected,
        minimum,
        nanny,
        remark,
    })
}

/// Whether ipjob itself sends engines the signals that clients send, as their nannies would: each is a process of this machine that ipjob knows,
/// and not in a wrapper, and the hub tells of them.
pub fn signals_ours(settings: &Settings, launcher: Launcher, here: &Here) -> bool {
    let known = settings.engine_wrapper.is_empty() && here.ipengine_python.is_some();
    launcher == Launcher::Local && known && here.eager_python.is_some()
}

/// Whether engines have nannies, and what a person is told of it.
fn nannies(asked: Nanny, expected: u32, free: Option<u64>) -> (bool, Option<String>) {
    let needed = u64::from(expected) * (BYTES_PER_ENGINE + BYTES_PER_NANNY);
    match (asked, free) {
        (Nanny::Auto, Some(free)) if needed > free => {
            let told = format!(
                "engines start without nannies: {} of free memory is too little for them; --nanny on starts them anyway",
                gigabytes(free)
            );
            (false, Some(told))
        }
        (asked, _) => (asked != Nanny::Off, None),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nannies_are_left_out_where_memory_is_short_and_none_insists() {
        let nanny = |asked, megabytes: u64| nannies(asked, 10, Some(megabytes << 20));
        assert_eq!(nanny(Nanny::Auto, 640), (true, None));
        assert_eq!(nanny(Nanny::Off, 640), (false, None));
        assert_eq!(nanny(Nanny::On, 500), (true, None));
        assert_eq!(nannies(Nanny::Auto, 10, None), (true, None));
        let (without, told) = nanny(Nanny::Auto, 639);
        assert!(!without && told.is_some_and(|text| text.contains("0.6 GB")));
    }
}
