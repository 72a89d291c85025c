//! Programs that are asked something and not waited for longer than the answer is worth: those of Slurm hang when its controller is
//! down, a Python on a file system that does not answer for as long as that.

use super::own_time::OwnTime;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// Between two looks at whether a program has answered.
const PAUSE: Duration = Duration::from_millis(5);

/// Time for the kernel to carry out a SIGKILL; a hung file system must not hang ipjob.
const KILL_PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read.
const LONGEST: u64 = 256 * 1024;

/// MiB of an answer that are held. Who prints more answers nothing, and would fill the memory.
const MOST: u64 = 64;

/// What a program answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; `None` when it could not be started, was killed by a signal, or did not end in time.
    pub code: Option<i32>,
    /// Its standard output.
    pub output: String,
    /// Its standard error, or why there is no answer.
    pub errors: String,
}

impl Answer {
    /// Whether it ended well.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.code == Some(0)
    }

    /// Its standard output, where it ended well.
    #[must_use]
    pub fn good(self) -> Option<String> {
        self.is_good().then_some(self.output)
    }

    /// What tells most about a failure: the first line of the errors that is not srun's own summary of it.
    #[must_use]
    pub fn reason(&self) -> String {
        let lines = || self.errors.lines().map(str::trim).filter(|l| !l.is_empty());
        lines()
            .find(|line| !line.starts_with("srun: error: ") || line.contains("nable"))
            .or_else(|| lines().next())
            .map_or_else(
                || {
                    self.code
                        .map_or("no answer".to_owned(), |code| format!("exit code {code}"))
                },
                |line| line.chars().take(160).collect(),
            )
    }
}

/// Runs a command and waits so long for it. Where all children are waited for elsewhere (`signals`), its exit code may be lost, and its
/// output is not.
#[must_use]
pub fn ask(command: &mut Command, limit: Duration) -> Answer {
    let mut question = match Question::start(command) {
        Ok(question) => question,
        Err(error) => {
            return Answer {
                errors: error.to_string(),
                ..Answer::default()
            };
        }
    };
    let begin = OwnTime::now();
    let end = loop {
        match question.ended(begin, limit) {
            Some(end) => break end,
            None => thread::sleep(PAUSE),
        }
    };
    Answer {
        errors: match &end {
            Err(given_up)
                if matches!(
                    given_up.kind(),
                    ErrorKind::TimedOut | ErrorKind::FileTooLarge
                ) =>
            {
                given_up.to_string()
            }
            _ => question.errors(),
        },
        output: question.output(),
        code: end.ok().and_then(|status| status.code()),
    }
}

/// A program that was asked. Dropped before it has ended (a signal came, or the limit), it is killed.
pub struct Question {
    child: Child,
    output: File,
    errors: File,
}

impl Question {
    /// Starts it, as the leader of a group, so that it is killed with all that it has started.
    pub fn ask(program: &Path, args: &[&str]) -> io::Result<Self> {
        Self::put(Command::new(program).args(args))
    }

    /// The same with a command.
    pub fn put(command: &mut Command) -> io::Result<Self> {
        Self::start(command.process_group(0))
    }

    fn start(command: &mut Command) -> io::Result<Self> {
        let (output, errors) = (paper()?, paper()?);
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(errors.try_clone()?)
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
            match self.ended(begin, limit) {
                Some(end) => return end.map_err(|error| error.to_string()),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// How it has ended, or that the time since `begin` is up or it has printed too much; `None` while it runs.
    fn ended(&mut self, begin: OwnTime, limit: Duration) -> Option<io::Result<ExitStatus>> {
        let is_long = |file: &File| file.metadata().is_ok_and(|data| data.len() > MOST << 20);
        match self.child.try_wait() {
            Ok(None) if is_long(&self.output) || is_long(&self.errors) => {
                let long = format!("it printed more than {MOST} MiB");
                Some(Err(io::Error::new(ErrorKind::FileTooLarge, long)))
            }
            Ok(None) if begin.elapsed() > limit => {
                let late = format!("it did not answer within {} s", limit.as_secs_f64());
                Some(Err(io::Error::new(ErrorKind::TimedOut, late)))
            }
            end => end.transpose(),
        }
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// What it has said of its errors.
    pub fn errors(&self) -> String {
        read(&self.errors)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let (Ok(None), Ok(pid)) = (self.child.try_wait(), i32::try_from(self.child.id())) else {
            return;
        };
        // One that leads no group is killed alone.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        let _ = self.child.kill();
        // ipjob is a subreaper and inherits what the program had started, so its whole group can be waited for.
        let group = Pid::from_raw(-pid);
        let begin = OwnTime::now();
        while begin.elapsed() < KILL_PATIENCE
            && (matches!(self.child.try_wait(), Ok(None))
                || waitpid(group, Some(WaitPidFlag::WNOHANG)).is_ok())
        {
            thread::sleep(PAUSE);
        }
    }
}

/// The descriptor that an answer is appended to, even after a script has truncated it (`echo >/dev/stderr` reopens it).
fn paper() -> io::Result<File> {
    let file = nameless()?;
    rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::APPEND)?;
    Ok(file)
}

/// A nameless file in memory, so that neither a full pipe nor a full disk holds the answer up, and nothing that the program has started
/// keeps it open.
#[cfg(target_os = "linux")]
fn nameless() -> io::Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    Ok(File::from(memfd_create(
        "ipjob-answer",
        MFdFlags::MFD_CLOEXEC,
    )?))
}

/// A nameless file, where the kernel has none in memory.
#[cfg(not(target_os = "linux"))]
fn nameless() -> io::Result<File> {
    tempfile::tempfile()
}

/// The end of what was written to a file, as text. By place: the program may still write, and shares the file's own position.
fn read(file: &File) -> String {
    let length = file.metadata().map_or(0, |data| data.len());
    let from = length.saturating_sub(LONGEST);
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or_default()];
    let whole = file.read_exact_at(&mut bytes, from);
    // A script may have truncated it meanwhile.
    if whole.is_err() {
        bytes.clear();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_not_waited_for() {
        let limit = Duration::from_millis(20);
        let answer = ask(Command::new("tail").args(["-f", "/dev/null"]), limit);
        assert_eq!(answer.code, None);
        assert_eq!(answer.reason(), "it did not answer within 0.02 s");
    }

    #[test]
    fn one_that_prints_without_an_end_is_not_waited_for() {
        let answer = ask(&mut Command::new("yes"), Duration::from_secs(60));
        assert_eq!(answer.code, None);
        assert_eq!(answer.reason(), "it printed more than 64 MiB");
        assert_eq!(answer.output.len() as u64, LONGEST);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_script_that_opens_its_stderr_anew_leaves_no_hole_in_it() {
        let script = "echo one >&2; echo two >/dev/stderr; echo three >&2; exit 3";
        let answer = ask(
            Command::new("sh").args(["-c", script]),
            Duration::from_secs(60),
        );
        assert_eq!(answer.errors, "two\nthree\n");
    }

    #[test]
    fn what_it_leaves_running_holds_no_answer_up() {
        let script = "tail -f /dev/null & echo $!; echo it burns >&2; exit 3";
        let answer = ask(
            Command::new("sh").args(["-c", script]),
            Duration::from_secs(60),
        );
        assert_eq!(answer.code, Some(3));
        assert_eq!(answer.reason(), "it burns");
        let left = answer.output.trim().parse().map(Pid::from_raw);
        let _ = nix::sys::signal::kill(left.expect("its pid"), Signal::SIGKILL);
    }
}
