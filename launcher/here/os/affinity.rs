//! The CPUs that a thread is bound to. Only Linux has this; elsewhere only the laptop's commands are of use.

use crate::plan::cpus::Cpus;
use nix::errno::Errno;
#[cfg(target_os = "linux")]
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::io;

/// Those that this thread is bound to.
pub fn own() -> Result<Cpus, Errno> {
    of(Pid::from_raw(0))
}

/// Those that a process is bound to: its first thread.
#[cfg(target_os = "linux")]
pub fn of(pid: Pid) -> Result<Cpus, Errno> {
    let set = sched_getaffinity(pid)?;
    let numbers = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu) == Ok(true));
    Ok(numbers.filter_map(|cpu| u32::try_from(cpu).ok()).collect())
}

/// Binds this thread, and what it starts from now on.
#[cfg(target_os = "linux")]
pub fn bind(cpus: &Cpus) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    for cpu in cpus.iter() {
        set.set(usize::try_from(cpu).map_err(|_| Errno::EINVAL)?)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// None are known.
#[cfg(not(target_os = "linux"))]
pub fn of(_: Pid) -> Result<Cpus, Errno> {
    Err(Errno::ENOSYS)
}

/// It cannot be bound.
#[cfg(not(target_os = "linux"))]
pub fn bind(_: &Cpus) -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

/// Does something that starts a process, which is bound to these CPUs from its first moment on: it inherits what its parent's thread is bound to.
pub fn while_bound<T>(cpus: Option<&Cpus>, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(cpus) = cpus else {
        return start();
    };
    let before = own()?;
    bind(cpus)?;
    let started = start();
    // What were allowed a moment ago still are.
    let _ = bind(&before);
    started
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
        assert_eq!(own(), Ok(before));
    }
}
