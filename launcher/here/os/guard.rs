//! A process between mpiexec and the ipjob that leads. When a rank aborts, mpiexec kills all that it started, with SIGKILL; a
//! leader that it had started itself would leave its controller and Jupyter running for ever, and mpiexec waiting for them.
//! The guard is what mpiexec kills; the leader, in a group of its own, notices and ends everything in order.

use super::signals::{Caught, Signals};
use crate::failure::{Failure, Outcome};
use crate::plan::incarnation::INCARNATION_VARIABLE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::env;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::Command;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::sleep;

/// The guard's process id, for the leader behind it.
pub const VARIABLE: &str = "IPJOB_GUARD";

/// Between two looks at the guard.
const PAUSE: Duration = Duration::from_millis(250);

/// Whether we are behind a guard.
#[must_use]
pub fn stands() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Runs this very command line behind a guard, which hands signals on, and tells its exit code.
pub async fn run(signals: Signals) -> Outcome<u8> {
    let (sender, mut caught) = mpsc::unbounded_channel();
    signals.forward(&sender);
    let failed = |error| Failure::missing("ipjob cannot start its own program").because(error);
    let child = Command::new(env::current_exe().map_err(failed)?)
        .args(env::args_os().skip(1))
        .env(VARIABLE, std::process::id().to_string())
        .process_group(0)
        .spawn()
        .map_err(failed)?
        .id();
    // We keep a sender, so the channel never closes.
    while let Some(caught) = caught.recv().await {
        match caught {
            Caught::Exited { pid, exit } if pid == child => return Ok(exit.shell_code()),
            Caught::Exited { .. } => {}
            Caught::StopRequested { by, .. } => {
                let leader = i32::try_from(child).map(Pid::from_raw);
                if let (Ok(leader), Ok(signal)) = (leader, by.parse::<Signal>()) {
                    let _ = kill(leader, signal);
                }
            }
        }
    }
    Ok(1)
}

/// Whether we are behind a guard that has been killed.
#[must_use]
pub fn is_gone() -> bool {
    let guard = env::var(VARIABLE)
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    // What an ipjob behind a guard has started inherits the variable, and is not behind it.
    guard.is_some_and(|guard| parent_id() != guard) && env::var_os(INCARNATION_VARIABLE).is_none()
}

/// Asks for the end when the guard, if there is one, has been killed.
pub fn watch<T: From<Caught> + Send + 'static>(sender: UnboundedSender<T>) {
    if !stands() {
        return;
    }
    tokio::spawn(async move {
        while !is_gone() {
            if sender.is_closed() {
                return;
            }
            sleep(PAUSE).await;
        }
        let asked = Caught::StopRequested {
            by: "the end of its mpiexec",
            personal: false,
        };
        let _ = sender.send(asked.into());
    });
}
