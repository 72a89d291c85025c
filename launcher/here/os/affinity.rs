//! The CPUs that a thread is bound to. Only Linux has this; elsewhere only the laptop's commands are of use.

use crate::plan::cpus::Cpus;
#[cfg(target_os = "linux")]
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::{io, thread};

/// Those that this thread is bound to.
#[cfg(target_os = "linux")]
pub fn own() -> io::Result<Cpus> {
    allowed("/proc/thread-self/status")
}

/// Those that a process is bound to: its first thread.
#[cfg(target_os = "linux")]
pub fn of(pid: Pid) -> io::Result<Cpus> {
    allowed(&format!("/proc/{pid}/status"))
}

/// Those that this file names. `sched_getaffinity` fails with EINVAL on a kernel that counts more than the 1024 CPUs that a `cpu_set_t` has.
#[cfg(target_os = "linux")]
fn allowed(status: &str) -> io::Result<Cpus> {
    let text = std::fs::read_to_string(status)?;
    let list = text
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| Cpus::read(list.trim()))
        .ok_or_else(|| io::Error::other(format!("{status} names no CPUs")))
}

/// Binds this thread, and what it starts from now on.
#[cfg(target_os = "linux")]
pub fn bind(cpus: &Cpus) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus.iter() {
        let number = usize::try_from(cpu).unwrap_or(usize::MAX);
        set.set(number).map_err(|_| {
            io::Error::other(format!(
                "CPU {cpu} is not one of the first {}, and ipjob can bind to no others",
                CpuSet::count()
            ))
        })?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// None are known.
#[cfg(not(target_os = "linux"))]
pub fn own() -> io::Result<Cpus> {
    Err(io::ErrorKind::Unsupported.into())
}

/// None are known.
#[cfg(not(target_os = "linux"))]
pub fn of(_: Pid) -> io::Result<Cpus> {
    Err(io::ErrorKind::Unsupported.into())
}

/// It cannot be bound.
#[cfg(not(target_os = "linux"))]
pub fn bind(_: &Cpus) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Does something that starts a process, which is bound to these CPUs from its first moment on: it inherits what the thread is bound to that starts
/// it, which is one of its own.
pub fn while_bound<T: Send>(
    cpus: Option<&Cpus>,
    start: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let Some(cpus) = cpus else {
        return start();
    };
    thread::scope(|scope| {
        let started = thread::Builder::new().spawn_scoped(scope, || {
            bind(cpus)?;
            start()
        })?;
        let broke = |_| Err(io::Error::other("the thread that starts it panicked"));
        started.join().unwrap_or_else(broke)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_bound_when_it_starts_and_its_parent_stays_as_it_was() {
        let before = own().expect("known");
        let one: Cpus = before.iter().take(1).collect();
        let output = while_bound(Some(&one), || {
            std::process::Command::new("cat")
                .arg("/proc/self/status")
                .output()
        });
        let status = String::from_utf8(output.expect("it runs").stdout).expect("text");
        let line = format!("\nCpus_allowed_list:\t{one}\n");
        assert!(status.contains(&line), "{status}");
        assert_eq!(own().expect("known"), before);
    }

    #[test]
    fn a_cpu_beyond_those_of_a_set_is_named() {
        let beyond: Cpus = [0, 1100].into_iter().collect();
        let error = bind(&beyond).expect_err("a cpu_set_t has 1024").to_string();
        assert!(
            error.starts_with("CPU 1100 is not one of the first 1024"),
            "{error}"
        );
    }
}
