//! A program that is asked something while other things are done, and is not waited for longer than its answer is worth.

use super::own_time::OwnTime;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks at whether a program has answered.
const PAUSE: Duration = Duration::from_millis(5);

/// Time for the kernel to carry out a SIGKILL; a hung file system must not hang ipjob.
const KILL_PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read.
const LONGEST: u64 = 64 * 1024;

/// A nameless file in memory, so that neither a full pipe nor a full disk holds the answer up.
#[cfg(target_os = "linux")]
fn paper() -> io::Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    Ok(File::from(memfd_create(
        "ipjob-answer",
        MFdFlags::MFD_CLOEXEC,
    )?))
}

/// A nameless file, where the kernel has none in memory.
#[cfg(not(target_os = "linux"))]
fn paper() -> io::Result<File> {
    tempfile::tempfile()
}

/// The program. Dropped before it has ended (a signal came, or the limit), it is killed with
/// all that it started.
pub struct Question {
    child: Child,
    output: File,
    errors: File,
}

impl Question {
    /// Starts it.
    pub fn ask(program: &Path, args: &[&str]) -> io::Result<Self> {
        let (output, errors) = (paper()?, paper()?);
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(errors.try_clone()?)
            .process_group(0)
            .spawn()?;
        Ok(Self {
            child,
            output,
            errors,
        })
    }

    /// Waits until it has ended, and tells how.
    pub async fn end(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let begin = OwnTime::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if begin.elapsed() > limit => {
                    return Err(format!(
                        "it did not answer within {} s",
                        limit.as_secs_f64()
                    ));
                }
                Ok(None) => sleep(PAUSE).await,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// What it has printed.
    pub fn output(&mut self) -> String {
        read(&mut self.output)
    }

    /// What it has said of its errors.
    pub fn errors(&mut self) -> String {
        read(&mut self.errors)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let (Ok(None), Ok(pid)) = (self.child.try_wait(), i32::try_from(self.child.id())) else {
            return;
        };
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        // ipjob is a subreaper and inherits what the program had started, so its whole group can be waited for.
        let group = Pid::from_raw(-pid);
        let begin = OwnTime::now();
        while waitpid(group, Some(WaitPidFlag::WNOHANG)).is_ok() && begin.elapsed() < KILL_PATIENCE
        {
            thread::sleep(PAUSE);
        }
    }
}

/// The end of what was written to a file, as text.
fn read(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let length = file.metadata().map_or(0, |data| data.len());
    let _ = file
        .seek(io::SeekFrom::Start(length.saturating_sub(LONGEST)))
        .and_then(|_| file.take(LONGEST).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
