//! The engine that was there before, where one takes its place: it may still live, frozen, and keep memory and GPU.

use crate::here::os::own_time::OwnTime;
use crate::here::os::process;
use crate::here::os::stray_processes::Leftover;
use crate::plan::incarnation::{INCARNATION_VARIABLE, SERVICE_VARIABLE};
use crate::plan::name::Name;
use crate::plan::services::Succession;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

/// How long the kernel may take to carry out a SIGKILL. A process that does not end in this time is in the hands of a file system
/// that hangs, and waits for it alone.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Kills the process that was this engine before, where it still runs, and what it has started. Its number may be another's by now:
/// it is ours when it carries this incarnation, belongs to that very step and has that rank in it.
pub fn end(who: &Succession) {
    let pid = who.before.pid;
    let Some(before) = Leftover::of(pid).filter(|_| is_engine(who)) else {
        return;
    };
    let all: BTreeSet<Leftover> = process::descendants(pid)
        .into_iter()
        .filter_map(Leftover::of)
        .chain([before])
        .collect();
    for found in &all {
        found.signal(Signal::SIGKILL);
    }
    let begin = OwnTime::now();
    let lives = |found: &Leftover| Leftover::of(found.pid) == Some(*found);
    while all.iter().any(lives) && begin.elapsed() < PATIENCE {
        sleep(PAUSE);
    }
}

/// Whether the process of that number is the engine, by its first environment.
fn is_engine(who: &Succession) -> bool {
    let of = |name: &str| process::variable(who.before.pid, name);
    let step = of("SLURM_JOB_ID").zip(of("SLURM_STEP_ID"));
    std::env::var(INCARNATION_VARIABLE).ok() == of(INCARNATION_VARIABLE)
        && of(SERVICE_VARIABLE).as_deref() == Some(Name::Engines.word())
        && step.is_some_and(|(job, step)| format!("{job}.{step}") == who.before.step)
        && (of("SLURM_PROCID") == Some(who.id.to_string())
            // A fork shows the variables of the Python that forked it, and arguments of its own.
            || process::arguments(who.before.pid).contains(&format!("--IPEngine.id={}", who.id)))
}
