//! The watcher of a node, with `--idle-timeout`: a child of one task there that tells when the job's engines on this node are at rest.
//! The rest of the job cannot see their CPU time. It ends with its task, whose log it holds open.
//!
//! docs/design/idle.md explains the design.

use crate::engine::task;
use crate::here::os::cpu_time::Computed;
use crate::here::os::{process, stray_processes};
use crate::plan::idle::{Telling, gap};
use crate::plan::incarnation::INCARNATION_VARIABLE;
use crate::plan::name::Name;
use crate::plan::task_lines::Rest;
use nix::unistd::getppid;
use std::collections::BTreeSet;
use std::env;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How starters number the tasks of one host, from 0. Below mpiexec in a batch script Slurm's own is the script's, 0 for all.
const NUMBERS_ON_HOST: [&str; 3] = [
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
];

/// Starts the watcher below this process, which may become another program, where it is the first task of its node. One that
/// cannot be started tells nothing: the node counts as in use.
pub fn start(limit_ms: u64, node: &str) {
    let number = NUMBERS_ON_HOST
        .into_iter()
        .find_map(|name| env::var(name).ok());
    if number.is_some_and(|number| number != "0") {
        return;
    }
    let Ok(program) = env::current_exe() else {
        return;
    };
    // It inherits stdout, the step's log.
    let _ = Command::new(program)
        .args(["rest", &limit_ms.to_string(), node])
        .arg(std::process::id().to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

/// Watches until the task, which is our parent, has ended.
pub fn run(limit_ms: u64, node: &str, task: u32) -> u8 {
    let follows = ends_with_its_parent();
    let has_task = || u32::try_from(getppid().as_raw()) == Ok(task);
    let limit = Duration::from_millis(limit_ms);
    let mut telling = Telling::new(limit);
    let mut before = (Instant::now(), look(task));
    while follows && has_task() {
        thread::sleep(gap(limit));
        let now = (Instant::now(), look(task));
        let since = now.0.duration_since(before.0);
        let at_rest = !now.1.exceeds(&before.1, since.as_secs());
        if let Some(at_rest) = telling.hear(at_rest, since)
            && has_task()
        {
            let node = node.to_owned();
            task::tell(&Rest { node, at_rest }.line());
        }
        before = now;
    }
    0
}

/// Asks for our end at the very moment of the task's: srun tells of that end only when its log is closed.
#[cfg(target_os = "linux")]
fn ends_with_its_parent() -> bool {
    use nix::sys::{prctl, signal::Signal};
    prctl::set_pdeathsig(Signal::SIGKILL).is_ok()
}

/// Only a laptop is no Linux, and no engines of a job run there.
#[cfg(not(target_os = "linux"))]
fn ends_with_its_parent() -> bool {
    false
}

/// The CPU time of all the engines on this node that belong to our job, whichever task or step started them, and of what they have
/// started.
fn look(task: u32) -> Computed {
    let incarnation = env::var(INCARNATION_VARIABLE).unwrap_or_default();
    let engines = stray_processes::carrying(&incarnation)
        .into_iter()
        .filter(|(_, service)| service.as_deref() == Some(Name::Engines.word()))
        .map(|(engine, _)| engine.pid);
    // Some clean their environment: what the starter of our task runs here are its other tasks.
    let starter = process::stat(task).map(|stat| stat.parent);
    let mut pids: BTreeSet<u32> = engines.chain([task]).collect();
    pids.extend(starter.map(process::descendants).unwrap_or_default());
    for root in pids.clone() {
        pids.extend(process::descendants(root));
    }
    pids.remove(&std::process::id());
    Computed::of(&pids)
}
