//! `--detach`: the ipjob that the user starts stays in front. It starts this very command line again, in a session of its own, and waits
//! until that one is ready.
//!
//! docs/design/detach.md explains the design.

use super::{become_subreaper, environment, event_loop, lead};
use crate::cli::options::RunOptions;
use crate::failure::{Failure, Kind, Outcome};
use crate::here::os::signals::{Caught, Signals};
use crate::here::site::identity;
use crate::plan::exit::Exit;
use crate::plan::ranks::Rank;
use crate::report::console::Console;
use crate::report::front::{Front, READY, print_failure};
use crate::supervisor::event::End;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// What is typed before all else of the command line that is started again.
const AGAIN: &str = "--detached";

/// What the one in front sees.
enum Seen {
    Ready,
    Caught(Caught),
}

impl From<Caught> for Seen {
    fn from(caught: Caught) -> Self {
        Self::Caught(caught)
    }
}

/// Starts the one that stays, waits for it, and tells the exit code: 0 is ready, and nothing else is.
pub fn before(options: &RunOptions, rank: Option<&Rank>, console: &mut Console) -> Outcome<u8> {
    // The other one has the terminal.
    console.still();
    let outcome = match rank {
        Some(_) => Err(Failure::usage(
            "--detach was given to several ranks: what started them ends all that they leave",
        )
        .hint("start ipjob once; it starts the engines itself")),
        None if identity::is_started_by_slurm() => Err(Failure::usage(
            "--detach was given to an ipjob that Slurm itself has started: when it returns, Slurm kills all that it leaves",
        )
        .hint("leave --detach out, or start ipjob from a script that goes on after it")),
        None => event_loop().and_then(|runtime| runtime.block_on(wait())),
    };
    // What the other one fails of it tells itself.
    if let (Err(failure), true) = (&outcome, options.json) {
        print_failure(failure, None);
    }
    outcome
}

async fn wait() -> Outcome<u8> {
    let failed = |error| Failure::missing("ipjob cannot start its own program").because(error);
    let (sender, mut seen) = mpsc::unbounded_channel::<Seen>();
    // Caught first: a signal that comes now is handed on.
    Signals::catch()?.forward(&sender);
    let (line, theirs) = UnixStream::pair().map_err(failed)?;
    let child = Command::new(std::env::current_exe().map_err(failed)?)
        .arg(AGAIN)
        .args(std::env::args_os().skip(1))
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .map_err(failed)?
        .id();
    line.set_nonblocking(true).map_err(failed)?;
    let mut line = tokio::net::UnixStream::from_std(line).map_err(failed)?;
    let told = sender.clone();
    tokio::spawn(async move {
        let mut word = [0];
        if line.read(&mut word).await.is_ok_and(|read| read > 0) && word == [READY] {
            let _ = told.send(Seen::Ready);
        }
    });
    while let Some(seen) = seen.recv().await {
        match seen {
            Seen::Ready => return Ok(0),
            Seen::Caught(Caught::Exited { pid, exit }) if pid == child => {
                return match exit {
                    Exit::Code(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
                    exit @ Exit::Signal { .. } => Err(Failure::not_ready(format!(
                        "the detached ipjob (pid {child}) was ended before it was ready"
                    ))
                    .because(exit)
                    .hint("the next ipjob in its profile ends what it left running")),
                };
            }
            Seen::Caught(Caught::Exited { .. }) => {}
            Seen::Caught(Caught::StopRequested { by, .. }) => {
                let other = i32::try_from(child).map(Pid::from_raw);
                if let (Ok(other), Ok(signal)) = (other, by.parse::<Signal>()) {
                    let _ = kill(other, signal);
                }
            }
        }
    }
    Ok(1)
}

/// Runs the job in a session of its own, for the ipjob in front of it.
pub fn behind(options: &RunOptions, console: &mut Console) -> Outcome<u8> {
    let mut front = Front::leave(options.json)?;
    if options.json {
        console.without_colours();
    }
    become_subreaper(console);
    let outcome = event_loop().and_then(|runtime| {
        runtime.block_on(lead(
            options,
            environment(),
            None,
            Some(&mut front),
            console,
        ))
    });
    if front.was_told() {
        return outcome.map(|end| super::tell(&end, console));
    }
    let failure = outcome.map_or_else(|failure| failure, unready);
    front.failed(&failure);
    Err(failure)
}

/// The end of a job that was not ready, as a failure: to the one in front 0 would be ready.
fn unready(end: End) -> Failure {
    let kind = match end.code {
        code if code == Kind::TimeLimit as u8 => Kind::TimeLimit,
        _ => Kind::NotReady,
    };
    end.failure.unwrap_or_else(|| {
        Failure::new(kind, "the job ended before it was ready").because(end.reason)
    })
}
