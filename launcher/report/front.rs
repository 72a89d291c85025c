//! The ipjob in front of a detached one: it was started by the user, has started that one, and waits until it is ready. Both write to
//! the same streams until then; from then on the detached one writes into a log.
//!
//! On the line between the two, the one in front sends the numbers of signals, and the other one a [`Word`].

use super::console::Console;
use super::{output, summary};
use crate::failure::{Failure, Outcome};
use crate::here::os::log::Log;
use crate::here::os::session;
use crate::here::os::signals::Caught;
use crate::plan::Plan;
use crate::plan::profile::ProfileName;
use crate::record::{AbsPath, Field, JobNumber, LifeId, OrNull, Record, State};
use nix::sys::signal::{Signal, raise};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// The version of the objects of `--json`.
const VERSION: u32 = 1;

/// What is told to the one in front, in two bytes; it is the last that is said there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The job is ready.
    Ready,
    /// It is not, and will not be; all was said of it. This is the exit code.
    Failed(u8),
}

impl Word {
    /// As it is sent.
    #[must_use]
    pub fn bytes(self) -> [u8; 2] {
        match self {
            Self::Ready => [b'r', 0],
            Self::Failed(code) => [b'f', code],
        }
    }

    /// As it was sent.
    #[must_use]
    pub fn read(bytes: [u8; 2]) -> Option<Self> {
        match bytes {
            [b'r', 0] => Some(Self::Ready),
            [b'f', code] => Some(Self::Failed(code)),
            _ => None,
        }
    }
}

/// What the one in front sees.
#[derive(Debug)]
pub enum Seen {
    Told(Word),
    /// The line has ended without a word.
    Silent,
    Caught(Caught),
}

impl From<Caught> for Seen {
    fn from(caught: Caught) -> Self {
        Self::Caught(caught)
    }
}

/// Listens for the word on the line, and tells that it came or that the line has ended.
pub fn hear(mut line: OwnedReadHalf, sender: UnboundedSender<Seen>) {
    tokio::spawn(async move {
        let mut word = [0; 2];
        let read = line.read_exact(&mut word).await;
        let word = read.ok().and_then(|_| Word::read(word));
        let _ = sender.send(word.map_or(Seen::Silent, Seen::Told));
    });
}

/// The front, as the detached one knows it.
#[derive(Debug)]
pub struct Front {
    line: UnixStream,
    /// Ends with the one in front.
    gone: Option<oneshot::Receiver<()>>,
    json: bool,
    log: Option<(PathBuf, File)>,
    /// The lines that tell how to reach the job, once it is ready.
    lines: Option<Vec<String>>,
    /// Whether it knows that the job is ready.
    told: bool,
}

/// What `--json` prints when the job is ready.
#[derive(Serialize)]
struct Ready<'a> {
    version: u32,
    job: &'a OrNull<JobNumber>,
    profile: &'a Field<ProfileName>,
    profile_dir: &'a Field<AbsPath>,
    record: PathBuf,
    incarnation: &'a Field<LifeId>,
    state: &'a Field<State>,
    engines: Count,
    log: &'a OrNull<AbsPath>,
    python: [String; 2],
}

#[derive(Serialize)]
struct Count {
    expected: Field<u32>,
    registered: Field<u32>,
}

/// What `--json` prints when it is not, and will not be.
#[derive(Serialize)]
struct Failed<'a> {
    version: u32,
    error: Told<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a Path>,
}

#[derive(Serialize)]
struct Told<'a> {
    message: &'a str,
    hints: &'a [String],
    cause: Option<&'a str>,
    exit_code: u8,
}

impl Front {
    /// Begins a session of our own; stdin is the line to the front.
    pub fn leave(json: bool) -> Outcome<Self> {
        Ok(Self {
            line: session::begin()?,
            gone: None,
            json,
            log: None,
            lines: None,
            told: false,
        })
    }

    /// Watches the line from now on: signals that come by it are ours, as soon as we catch any.
    pub fn watch(&mut self) -> io::Result<()> {
        let line = self.line.try_clone()?;
        line.set_nonblocking(true)?;
        let mut line = tokio::net::UnixStream::from_std(line)?;
        let (lives, gone) = oneshot::channel();
        self.gone = Some(gone);
        tokio::spawn(async move {
            let mut number = [0];
            while line.read(&mut number).await.is_ok_and(|read| read > 0) {
                if let Ok(signal) = Signal::try_from(i32::from(number[0])) {
                    let _ = raise(signal);
                }
            }
            drop(lives);
        });
        Ok(())
    }

    /// What ends with the one in front, whatever has ended it, where it is watched.
    pub fn gone(&mut self) -> Option<oneshot::Receiver<()>> {
        self.gone.take()
    }

    /// Opens the log, in which all lines are from now on.
    pub fn open_log(&mut self, plan: &Plan, console: &mut Console) -> Outcome<()> {
        let path = plan.profile.own_log();
        let opened = Log::open(&path, &format!("ipjob {}", plan.incarnation.id));
        let file = opened
            .and_then(|(_, file)| {
                console.copy_to(file.try_clone()?);
                Ok(file)
            })
            .map_err(|error| {
                Failure::missing(format!("the log {} cannot be written", path.display()))
                    .because(error)
            })?;
        self.log = Some((path, file));
        Ok(())
    }

    /// Whether the front knows that the job is ready.
    #[must_use]
    pub fn was_told(&self) -> bool {
        self.told
    }

    /// The job is ready; these lines tell how to reach it.
    pub fn announce(&mut self, lines: Vec<String>) {
        self.lines = Some(lines);
    }

    /// Whether the job is ready.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.lines.is_some()
    }

    /// Where the log is.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.log.as_ref().map(|(path, _)| path.as_path())
    }

    /// Tells that the job is ready, and how to reach it, and lets go of the front.
    pub fn ready(&mut self, plan: &Plan, record: &Record, console: &mut Console) {
        if self.json {
            print(&Ready {
                version: VERSION,
                job: &record.job.id,
                profile: &record.profile.name,
                profile_dir: &record.profile.dir,
                record: plan.profile.record(),
                incarnation: &record.incarnation.id,
                state: &record.state,
                engines: Count {
                    expected: record.engines.expected,
                    registered: record.engines.registered,
                },
                log: &record.log,
                python: summary::python(&plan.profile.name),
            });
        } else {
            output::line(&self.lines.take().unwrap_or_default().join("\n"));
        }
        console.finish();
        if let Some((_, log)) = &self.log
            && let Err(error) = session::speak_into(log)
        {
            console.warning(&format!("output does not go to the log: {error}"));
        }
        console.moved();
        self.tell(Word::Ready);
    }

    /// Tells why the job is not ready, and will not be.
    pub fn failed(&mut self, failure: &Failure, console: &mut Console) {
        if self.json {
            print_failure(failure, self.log());
        }
        console.still();
        console.failure(failure);
        console.finish();
        self.tell(Word::Failed(failure.exit_code()));
    }

    fn tell(&mut self, word: Word) {
        // The front may be gone: then nobody is told.
        let _ = self.line.write_all(&word.bytes());
        self.told = true;
    }
}

/// Prints a failure as JSON.
pub fn print_failure(failure: &Failure, log: Option<&Path>) {
    print(&Failed {
        version: VERSION,
        error: Told {
            message: &failure.message,
            hints: &failure.hints,
            cause: failure.cause.as_deref(),
            exit_code: failure.exit_code(),
        },
        log,
    });
}

fn print(object: &impl Serialize) {
    output::line(&serde_json::to_string(object).unwrap_or_default());
}
