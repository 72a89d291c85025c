//! Programs that are asked and waited for, each for a limited time: those of Slurm hang when its controller is down.

use super::own_time::OwnTime;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Bytes of an answer that are kept.
const LONGEST: u64 = 256 * 1024;

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

/// Runs a command and waits so long for it.
#[must_use]
pub fn ask(command: &mut Command, limit: Duration) -> Answer {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            return Answer {
                errors: error.to_string(),
                ..Answer::default()
            };
        }
    };
    let output = child.stdout.take().map(collect);
    let errors = child.stderr.take().map(collect);
    let Ok(code) = wait(&mut child, limit) else {
        let _ = child.kill();
        let _ = child.wait();
        return Answer {
            errors: format!("no end within {} s", limit.as_secs()),
            ..Answer::default()
        };
    };
    let text = |reader: Option<JoinHandle<String>>| {
        reader
            .and_then(|reader| reader.join().ok())
            .unwrap_or_default()
    };
    Answer {
        code,
        output: text(output),
        errors: text(errors),
    }
}

/// The time is up.
struct TimeUp;

/// The exit code, `None` after a signal.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<i32>, TimeUp> {
    let begin = OwnTime::now();
    while begin.elapsed() < limit {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.code()),
            Ok(None) => thread::sleep(Duration::from_millis(10)),
            Err(_) => return Ok(None),
        }
    }
    Err(TimeUp)
}

fn collect(stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.take(LONGEST).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
