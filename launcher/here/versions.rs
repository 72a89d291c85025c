//! Versions of Python packages: told by files where they tell, else by the program itself, which is half a second of the start.
//! And what a Python prints when it starts, which only it can tell.

use super::packages;
use super::text::printable;
use crate::failure::{Failure, Outcome};
use crate::plan::version::Version;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Between two looks at whether a program has answered.
const PAUSE: Duration = Duration::from_millis(5);

/// Time for the kernel to carry out a SIGKILL; a hung file system must not hang ipjob.
const KILL_PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read.
const LONGEST: u64 = 64 * 1024;

/// The version of `package` that `program` runs with; a program that must be asked has `limit` to answer.
pub async fn of(program: &Path, package: &str, limit: Duration) -> Outcome<Version> {
    let variable = |name: &str| std::env::var_os(name);
    match packages::certain(program, package, variable) {
        Some(version) => Ok(version),
        None => by_asking(program, package, limit).await,
    }
}

/// The version that the program itself prints, with its own words where it cannot.
async fn by_asking(program: &Path, package: &str, limit: Duration) -> Outcome<Version> {
    let failure = |cause: &str| {
        Failure::missing(format!(
            "{} does not tell the version of {package}",
            program.display()
        ))
        .because(cause)
        .hint(format!(
            "run `{} --version`: it must print a version; install {package} where its Python runs",
            program.display()
        ))
    };
    let mut question =
        Question::ask(program, &["--version"]).map_err(|error| failure(&error.to_string()))?;
    let status = question.end(limit).await.map_err(|cause| failure(&cause))?;
    question.answer(status).map_err(|cause| failure(&cause))
}

/// A Python that was started to do nothing: what its site's modules print is seen, 10 ms later.
pub struct Start(Question);

impl Start {
    /// Starts it; `None` where it cannot be.
    #[must_use]
    pub fn of(python: &Path) -> Option<Self> {
        Question::ask(python, &["-c", ""]).ok().map(Self)
    }

    /// The first line that it has printed; `None` where there is none, or it has not ended within `limit`.
    pub async fn printed(mut self, limit: Duration) -> Option<String> {
        self.0.end(limit).await.ok()?;
        let output = read(&mut self.0.output);
        output.lines().next().map(printable)
    }
}

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

/// A program that was asked for its version. Dropped before it has ended (a signal came, or the limit), it is killed with
/// all that it started.
struct Question {
    child: Child,
    output: File,
    errors: File,
}

impl Question {
    fn ask(program: &Path, args: &[&str]) -> io::Result<Self> {
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
    async fn end(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let begin = Instant::now();
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

    /// The version that was printed, or the last line of what went wrong.
    fn answer(&mut self, status: ExitStatus) -> Result<Version, String> {
        let output = read(&mut self.output);
        let version = output.lines().rev().find_map(Version::parse);
        version.filter(|_| status.success()).ok_or_else(|| {
            let errors = read(&mut self.errors);
            let last = errors.lines().rev().find(|line| !line.trim().is_empty());
            printable(last.unwrap_or("it printed no version").trim())
        })
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
        let begin = Instant::now();
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
