//! A child that is waited for, by a parent that hands every request to end on to it: Slurm signals only the direct children of
//! its slurmstepd.

use super::exit_like::shell_code;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Starts the command, tells its process id, and returns its exit code as a shell tells it.
pub fn run(command: &mut Command, started: impl FnOnce(u32)) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let status = runtime.block_on(async {
        // Caught before the child is there, so that no request is lost.
        let (sender, mut caught) = mpsc::unbounded_channel();
        for number in [
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
        ] {
            let mut stream = signal(SignalKind::from_raw(number as i32))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() && sender.send(number).is_ok() {}
            });
        }
        let mut child = command.spawn()?;
        started(child.id());
        loop {
            if let Some(status) = child.try_wait()? {
                return io::Result::Ok(status);
            }
            match caught.recv().await {
                Some(Signal::SIGCHLD) | None => {}
                Some(number) => hand_on(&child, number),
            }
        }
    })?;
    Ok(shell_code(status))
}

fn hand_on(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
