//! `--detach`: the ipjob that the user starts stays in front. It starts this very command line again, in a session of its own, and waits
//! until that one is ready.
//!
//! docs/design/detach.md explains the design.

use super::{become_subreaper, environment, event_loop, lead, own_step};
use crate::cli::options::RunOptions;
use crate::failure::{Failure, Kind, Outcome};
use crate::here::os::signals::{Caught, Signals};
use crate::here::site::identity;
use crate::plan::exit::Exit;
use crate::plan::ranks::Rank;
use crate::report::console::Console;
use crate::report::front::{Front, Seen, Word, hear, print_failure};
use crate::supervisor::event::End;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::{io, iter};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// What is typed before all else of the command line that is started again.
const AGAIN: &str = "--detached";

/// The other one.
struct Other {
    line: tokio::net::UnixStream,
    /// Its process id, where it is our child.
    child: Option<u32>,
}

/// Starts the one that stays, waits for it, and tells the exit code: 0 is ready, and nothing else is.
pub fn before(options: &RunOptions, rank: Option<&Rank>, console: &mut Console) -> Outcome<u8> {
    // The other one has the terminal.
    console.still();
    let outcome = match rank {
        Some(_) => Err(Failure::usage(
            "--detach does not work with several ranks: what started them kills whatever they leave running",
        )
        .hint("start ipjob once; it starts the engines itself")),
        None if identity::is_started_by_slurm() => Err(Failure::usage(
            "--detach does not work in an ipjob that Slurm itself has started: when it returns, Slurm kills whatever it leaves running",
        )
        .hint("leave --detach out, or start ipjob from a script that continues after it")),
        None => event_loop().and_then(|runtime| runtime.block_on(wait(console))),
    };
    // What the other one fails of it tells itself.
    if let (Err(failure), true) = (&outcome, options.json) {
        print_failure(failure, None);
    }
    outcome
}

async fn wait(console: &Console) -> Outcome<u8> {
    // Caught first: a signal that comes now is handed on.
    let mut signals = Signals::catch()?;
    let other = match signals.unless_asked(start(console)).await {
        Ok(other) => other?,
        // Nothing has begun.
        Err(by) => return Err(unready(End::orderly(by))),
    };
    let (sender, mut seen) = mpsc::unbounded_channel::<Seen>();
    signals.forward(&sender);
    let (hears, mut says) = other.line.into_split();
    hear(hears, sender.clone());
    let mut exit = None;
    let mut is_silent = false;
    // The word may be heard after the end of who said it.
    while !is_silent || (other.child.is_some() && exit.is_none()) {
        let Some(seen) = seen.recv().await else {
            break;
        };
        match seen {
            Seen::Told(Word::Ready) => return Ok(0),
            Seen::Told(Word::Failed(code)) => return Ok(code),
            Seen::Silent => is_silent = true,
            Seen::Caught(Caught::Exited { pid, exit: own }) if Some(pid) == other.child => {
                exit = Some(own);
            }
            Seen::Caught(Caught::Exited { .. }) => {}
            Seen::Caught(Caught::StopRequested { by, .. }) => {
                let number = by.parse().map(|signal: Signal| signal as i32);
                if let Some(number) = number.ok().and_then(|number| u8::try_from(number).ok()) {
                    let _ = says.write_all(&[number]).await;
                }
            }
        }
    }
    match exit {
        // It has said why.
        Some(Exit::Code(code)) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        Some(exit) => Err(gone(exit)),
        None => Err(gone("its step has ended")),
    }
}

fn gone(cause: impl std::fmt::Display) -> Failure {
    Failure::not_ready("the detached ipjob was ended before it was ready")
        .because(cause)
        .hint("the next ipjob in its profile ends what it left running")
}

/// Starts the other one: as a step of its own where it can be one, else as a child.
async fn start(console: &Console) -> Outcome<Other> {
    let failed = |error| Failure::missing("ipjob cannot start its own program").because(error);
    let words = std::env::args_os().skip(1);
    let arguments: Vec<OsString> = iter::once(AGAIN.into()).chain(words).collect();
    if let Some(place) = own_step::place() {
        match place.start(&arguments).await {
            Ok(line) => return Other::new(line, None).map_err(failed),
            Err(why) => console.step(&format!(
                "no step of its own ({why}): the job ends with the step that it runs in, and Slurm may kill it before it has shut down"
            )),
        }
    }
    let (line, theirs) = UnixStream::pair().map_err(failed)?;
    let child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(arguments)
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .map_err(failed)?
        .id();
    Other::new(line, Some(child)).map_err(failed)
}

impl Other {
    fn new(line: UnixStream, child: Option<u32>) -> io::Result<Self> {
        line.set_nonblocking(true)?;
        Ok(Self {
            line: tokio::net::UnixStream::from_std(line)?,
            child,
        })
    }
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
    front.failed(&failure, console);
    Ok(failure.exit_code())
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
