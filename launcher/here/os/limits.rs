//! The limit of open files: the controller needs more with every engine, and every connection to a service is one.

use crate::failure::{Failure, Outcome};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// Descriptors of the busiest process of a controller without engines (measured: 53 at the most).
const CONTROLLER_FILES: u64 = 64;

/// Descriptors that each engine adds to it (measured: 2 in the heartmonitor, 1 in each queue).
const FILES_PER_ENGINE: u64 = 2;

/// Descriptors that a starter needs for each of its engines, with some to spare: its streams, and MPI's socket.
const FILES_PER_RANK: u64 = 5;

/// What is enough for every service: a hard limit may be a billion (containers), and some programs close each number up to the
/// limit before they start another.
const ENOUGH: u64 = 65_536;

/// The soft limit that ipjob was started with.
static USERS: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of open files as far as services may need it, which children inherit. Tells the limit where it had to be raised
/// for this many engines.
pub fn raise_open_files(engines: u32) -> Outcome<Option<u64>> {
    let needed = CONTROLLER_FILES + FILES_PER_ENGINE * u64::from(engines);
    let (soft, hard) = open_files()?;
    if hard < needed {
        return Err(Failure::missing(format!(
            "{engines} engines need {needed} open files in the controller, but the hard limit here is {hard}"
        ))
        .hint("start fewer engines, or ask for a higher limit (`ulimit -Hn`, LimitNOFILE)"));
    }
    let _ = USERS.set(soft);
    let wanted = needed.max(ENOUGH).min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map_err(|error| {
            Failure::missing(format!(
                "the limit of open files cannot be raised to {wanted}"
            ))
            .because(error)
        })?;
    }
    Ok((soft < needed).then_some(wanted))
}

/// Gives a child that runs the user's own code the soft limit back that the user has, or what a starter of so many engines needs: a
/// program that uses `select` takes no more than 1,024, and a batch system hands it on to other nodes.
pub fn give_back_open_files(pid: u32, engines: u32) {
    let (Some(users), Ok((soft, hard))) = (USERS.get(), open_files()) else {
        return;
    };
    let given = (*users).max(FILES_PER_RANK * u64::from(engines));
    if given < soft {
        limit_of(pid, given, hard);
    }
}

/// Sets the limits of open files of another process. One that has ended needs none; one that keeps a higher limit works as well.
#[cfg(target_os = "linux")]
fn limit_of(pid: u32, soft: u64, hard: u64) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let limit = Rlimit {
        current: Some(soft),
        maximum: Some(hard),
    };
    if let Some(child) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = prlimit(Some(child), Resource::Nofile, limit);
    }
}

/// There are no engines here.
#[cfg(not(target_os = "linux"))]
fn limit_of(_pid: u32, _soft: u64, _hard: u64) {}

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

/// The descriptors of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many it has in use.
    pub used: u64,
    /// How many it may have.
    pub limit: u64,
}

impl fmt::Display for Descriptors {
    /// `1,020 of 1,024 descriptors`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (grouped(self.used), grouped(self.limit));
        write!(out, "{used} of {limit} descriptors")
    }
}

/// A number for people: `65,536`.
#[must_use]
pub fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

/// How many descriptors a process has in use; `None` where that cannot be seen.
#[must_use]
pub fn in_use(pid: u32) -> Option<u64> {
    let directory = format!("/proc/{pid}/fd");
    // Since Linux 6.2 its size is their number.
    match fs::metadata(&directory).ok()?.size() {
        0 => u64::try_from(fs::read_dir(&directory).ok()?.count()).ok(),
        count => Some(count),
    }
}

/// The soft limit of open files of a process.
#[must_use]
pub fn open_files_of(pid: u32) -> Option<u64> {
    soft_limit(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
}

/// Reads the table in /proc/PID/limits; an unlimited one counts as none.
fn soft_limit(table: &str) -> Option<u64> {
    let mut lines = table.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_of_this_process_are_counted() {
        let own = std::process::id();
        let before = in_use(own).expect("ours");
        let _held: Vec<fs::File> = (0..200)
            .map(|_| fs::File::open("/dev/null").expect("a descriptor"))
            .collect();
        // Other tests of this process open and close some meanwhile.
        assert!(in_use(own).expect("ours") >= before.max(100) + 100 - 50);
        assert_eq!(open_files_of(own), open_files().ok().map(|(soft, _)| soft));
    }

    #[test]
    fn numbers_are_written_for_people() {
        let numbers = [0, 999, 1000, 1024, 1_048_576].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,024", "1,048,576"]);
    }

    #[test]
    fn a_table_without_a_number_tells_none() {
        let table = "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(table), Some(1024));
        assert_eq!(
            soft_limit("Max open files  unlimited  unlimited  files"),
            None
        );
        assert_eq!(soft_limit(""), None);
    }
}
