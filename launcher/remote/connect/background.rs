//! `--background`: the connect that the user starts stays in front until the tunnel can be used. It starts this very command line again; that
//! one may still ask at the terminal, and leaves it then.
//!
//! docs/design/connect.md explains the design.

use super::notice::{Notice, Sender};
use crate::failure::{Failure, Outcome};
use crate::here::os::signals::{Caught, Signals};
use crate::here::os::{files, secure_path, session, state};
use crate::plan::exit::Exit;
use crate::report::console::Console;
use crate::report::front::{Seen, Word, hear};
use crate::run;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// What is typed after the subcommand where that is started again.
const AGAIN: &str = "--behind";

/// The signals that a terminal sends to all that were started in it, in the words of `sh`. ssh leaves those ignored that were.
const OF_TERMINALS: &str = "HUP INT QUIT TSTP";

/// The ends of the logs' names.
pub const LOG: &str = ".log";

/// Starts the one that stays, waits until its tunnel can be used, and tells the exit code.
pub fn front(console: &mut Console) -> Outcome<u8> {
    // The other one has the terminal.
    console.still();
    run::event_loop()?.block_on(wait())
}

async fn wait() -> Outcome<u8> {
    let failed = |error| Failure::missing("ipjob cannot start its own program").because(error);
    let signals = Signals::catch()?;
    let (line, child) = start().map_err(failed)?;
    let (sender, mut seen) = mpsc::unbounded_channel::<Seen>();
    signals.forward(&sender);
    let line = tokio::net::UnixStream::from_std(line).map_err(failed)?;
    let (hears, says) = line.into_split();
    // What ends with us, or before: the other one then ends too.
    let mut says = Some(says);
    hear(hears, sender);
    while let Some(seen) = seen.recv().await {
        match seen {
            Seen::Told(Word::Ready) => return Ok(0),
            Seen::Caught(Caught::Exited { pid, exit }) if pid == child => {
                return match exit {
                    // It has said why.
                    Exit::Code(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
                    exit @ Exit::Signal { .. } => Err(Failure::not_ready(
                        "the connect in the background was ended",
                    )
                    .because(exit)),
                };
            }
            Seen::Caught(Caught::StopRequested { .. }) => says = None,
            Seen::Told(Word::Failed(_)) | Seen::Silent | Seen::Caught(_) => {}
        }
    }
    drop(says);
    Ok(0)
}

fn start() -> io::Result<(UnixStream, u32)> {
    let (line, theirs) = UnixStream::pair()?;
    line.set_nonblocking(true)?;
    let mut words = env::args_os().skip(1);
    let subcommand: Vec<OsString> = words.next().into_iter().collect();
    let child = Command::new(env::current_exe()?)
        .args(subcommand)
        .arg(AGAIN)
        .args(words)
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    Ok((line, child.id()))
}

/// The one that stays.
#[derive(Debug)]
pub struct Behind {
    line: UnixStream,
    /// Where its lines go, once it has left.
    log: Option<PathBuf>,
    has_left: bool,
}

impl Behind {
    /// Keeps nothing of what it was started with but output and errors.
    pub fn begin() -> Outcome<Self> {
        Ok(Self {
            line: session::let_go()?,
            log: None,
            has_left: false,
        })
    }

    /// Whether it has left the terminal.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.has_left
    }

    /// Tells of the end of the one in front.
    pub fn watch(&self, sender: &Sender) -> io::Result<()> {
        let line = self.line.try_clone()?;
        line.set_nonblocking(true)?;
        let mut line = tokio::net::UnixStream::from_std(line)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut byte = [0];
            while line.read(&mut byte).await.is_ok_and(|read| read > 0) {}
            let _ = sender.send(Notice::Alone);
        });
        Ok(())
    }

    /// The tunnel can be used and all was told: leaves the terminal, and lets the one in front go.
    pub fn leave(&mut self, profile: &str, console: &mut Console) -> Outcome<()> {
        if mem::replace(&mut self.has_left, true) {
            return Ok(());
        }
        let cannot = |error: io::Error| {
            Failure::missing("the connect cannot detach from the terminal").because(error)
        };
        console.finish();
        let log = log(profile).and_then(|path| Some((open_log(&path).ok()?, path)));
        // Locked until this process ends, however it ends: only then is the log complete. The lock is on a descriptor of its own,
        // because ssh inherits the one that is written to.
        if let Some(Ok(lock)) = log.as_ref().map(|(_, path)| File::open(path)) {
            let _ = lock.try_lock();
            mem::forget(lock);
        }
        session::leave().map_err(cannot)?;
        if let Some((file, path)) = log {
            session::speak_into(&file).map_err(cannot)?;
            self.log = Some(path);
        } else {
            let nowhere = OpenOptions::new().write(true).open("/dev/null");
            session::speak_into(&nowhere.map_err(cannot)?).map_err(cannot)?;
        }
        console.moved();
        // Whatever is mounted where it was started is not held.
        let _ = env::set_current_dir("/");
        // The front may be gone: then nobody is told.
        let _ = self.line.write_all(&Word::Ready.bytes());
        Ok(())
    }

    /// Its end: the log of one that failed stays, to be read.
    pub fn end(&self, well: bool) {
        if let Some(log) = self.log.as_ref().filter(|_| well) {
            remove_log(log);
        }
    }
}

/// The log of the connect that has this profile in the background.
#[must_use]
pub fn log(profile: &str) -> Option<PathBuf> {
    Some(logs()?.join([profile, LOG].concat()))
}

/// Where the logs are.
#[must_use]
pub fn logs() -> Option<PathBuf> {
    Some(state::directory()?.join("connect"))
}

/// Whether the connect that writes this log still runs.
#[must_use]
pub fn is_written(log: &Path) -> bool {
    File::open(log).is_ok_and(|log| matches!(log.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn open_log(path: &Path) -> io::Result<File> {
    let directory = path.parent().unwrap_or(path);
    secure_path::make_whole(directory)
        .and_then(|()| files::private_directory(directory))
        .map_err(|fault| io::Error::other(fault.to_string()))?;
    files::remove(path)?;
    files::private_file(path, b"")?;
    OpenOptions::new()
        .append(true)
        .custom_flags(files::NO_LINK)
        .open(path)
}

/// Removes a log, and the directory of the last.
pub fn remove_log(path: &Path) {
    let _ = files::remove(path);
    let _ = path.parent().map(fs::remove_dir);
}

/// A command that no signal of a terminal ends: what was started in one stays in its group, also after we have left.
#[must_use]
pub fn apart(program: &Path, args: &[String]) -> (PathBuf, Vec<String>) {
    let script = format!("trap '' {OF_TERMINALS}; exec \"$0\" \"$@\"");
    let head = ["-c".to_owned(), script, program.display().to_string()];
    (
        PathBuf::from("/bin/sh"),
        head.into_iter().chain(args.iter().cloned()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_apart_gets_its_arguments_as_they_are_and_ignores_the_terminal() {
        let words = [
            "-c",
            "trap; kill -HUP $$; kill -INT $$; printf '%s,' \"$@\"",
            "sh",
            "a b",
            "$(id)'",
        ];
        let words: Vec<String> = words.map(str::to_owned).to_vec();
        let (program, args) = apart(Path::new("/bin/sh"), &words);
        let output = Command::new(program).args(args).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.ends_with("a b,$(id)',"), "{output:?}");
    }
}
