//! What the log of a process tells of its end. PURE.
//!
//! A log holds more than that: tasks of the users' that failed hours ago, records of every kind, and the lines of a nanny that outlives
//! its engine. Of all this only two things say why a process ended: an exception that nobody caught, which Python writes last and
//! exits with 1, and the program's own word that it gives up, a record of the level CRITICAL after which it writes no other.
//!
//! docs/design/causes.md explains the design.

use super::exit::Exit;
use core::fmt;

/// How Python begins to tell of an exception. That of a task has IPython's form, with its name before these words.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// So many lines may follow that of an exception and be its message: the longest that is known, numpy's on its C extensions, has 16 that
/// are not empty. A program that has written more went on.
const LONGEST_MESSAGE: usize = 20;

/// The code with which Python exits after an exception that nobody caught.
const UNCAUGHT: i32 = 1;

/// The exceptions that tell of a package which is missing, or is not the one that was meant.
const OF_PACKAGES: [&str; 2] = ["ModuleNotFoundError", "ImportError"];

/// The numbers of the errors of a place that cannot be written: EACCES, EROFS, EDQUOT.
const CLOSED: [&str; 3] = ["[Errno 13]", "[Errno 30]", "[Errno 122]"];

/// What Jupyter and IPython keep in the home directory, and the variables that name another place for it.
const PLACES: [(&str, &str); 3] = [
    ("/.jupyter", "JUPYTER_CONFIG_DIR"),
    ("/.local/share/jupyter", "JUPYTER_DATA_DIR"),
    ("/.ipython", "IPYTHONDIR"),
];

/// Why a process ended, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastWords {
    /// An exception that nobody caught: `ModuleNotFoundError: No module named 'x'`.
    Exception(String),
    /// The program gave up, and said why: `received signal 15, stopping`.
    GaveUp {
        /// What it said.
        said: String,
        /// The exception that a process of its own had ended with just before.
        after: Option<String>,
    },
}

impl LastWords {
    /// What the last lines of a log tell about an end of this kind; `None` where they are about something else.
    #[must_use]
    pub fn read(exit: &Exit, tail: &[String]) -> Option<Self> {
        let Exit::Code(code) = exit else {
            // Whoever sent the signal told nothing to the log.
            return None;
        };
        let mut end = Open::Nothing;
        let mut before = "";
        for line in tail.iter().map(|line| unlabelled(line)) {
            match Record::read(line) {
                Some(Record { of_a_nanny, .. }) if of_a_nanny => continue,
                Some(record) => end = end.record(&record),
                None => end = end.line(line, Before::read(before)),
            }
            before = line;
        }
        match end {
            Open::Exception {
                last: Some(text), ..
            } if *code == UNCAUGHT => Some(Self::Exception(text.to_owned())),
            Open::GaveUp { said, after } => Some(Self::GaveUp {
                said: said.to_owned(),
                after: after.map(str::to_owned),
            }),
            _ => None,
        }
    }

    /// Whether they say that a package is missing where the program runs, or is not the right one.
    #[must_use]
    pub fn is_about_packages(&self) -> bool {
        self.exception()
            .is_some_and(|text| OF_PACKAGES.iter().any(|name| text.starts_with(name)))
    }

    /// The module that was imported and lacks what was asked of it, with its file: `ImportError: cannot import name 'Random' from
    /// 'random' (/home/ada/random.py)`.
    #[must_use]
    pub fn wrong_module(&self) -> Option<(&str, &str)> {
        let text = self.exception()?.strip_prefix("ImportError: ")?;
        let (_, rest) = text.split_once(" from ")?;
        // Or: `from partially initialized module 'random' (most likely due to a circular import) (/home/ada/random.py)`.
        let (module, rest) = rest
            .trim_start_matches("partially initialized module ")
            .strip_prefix('\'')?
            .split_once('\'')?;
        let (_, file) = rest.trim_end().strip_suffix(')')?.rsplit_once('(')?;
        file.starts_with('/').then_some((module, file))
    }

    /// A place that cannot be written, and the variable that names another: `OSError: [Errno 30] Read-only file system:
    /// '/home/ada/.jupyter'`.
    #[must_use]
    pub fn closed_place(&self) -> Option<(&str, &'static str)> {
        let text = self.exception()?;
        if !CLOSED.iter().any(|number| text.contains(number)) {
            return None;
        }
        let (_, path) = text.strip_suffix('\'')?.rsplit_once('\'')?;
        let (_, variable) = PLACES.iter().find(|(part, _)| {
            let mut places = path.match_indices(part).map(|(at, _)| at + part.len());
            places.any(|end| path[end..].is_empty() || path[end..].starts_with('/'))
        })?;
        Some((path, variable))
    }

    fn exception(&self) -> Option<&str> {
        match self {
            Self::Exception(text) => Some(text),
            Self::GaveUp { after, .. } => after.as_deref(),
        }
    }
}

impl fmt::Display for LastWords {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception(text) => out.write_str(text),
            Self::GaveUp { said, after: None } => out.write_str(said),
            Self::GaveUp {
                said,
                after: Some(exception),
            } => write!(out, "{said}, after {exception}"),
        }
    }
}

/// What the lines so far end with.
enum Open<'a> {
    /// What says nothing of an end.
    Nothing,
    /// A traceback that Python began by itself, the line after its frames, and how many came after that.
    Exception { last: Option<&'a str>, more: usize },
    /// A traceback that a record or a thread told.
    Told,
    /// A record of the level CRITICAL, with all that belongs to it.
    GaveUp {
        said: &'a str,
        after: Option<&'a str>,
    },
}

impl<'a> Open<'a> {
    fn record(self, record: &Record<'a>) -> Self {
        match self {
            // The first says why, the next what is done about it: `terminating children...`.
            Self::GaveUp { said, after } if record.critical => Self::GaveUp { said, after },
            // Jupyter tells its address so, in the lines after an empty one.
            _ if !record.critical || record.text.is_empty() => Self::Nothing,
            Self::Exception { last, .. } => Self::GaveUp {
                said: record.text,
                after: last,
            },
            Self::Nothing | Self::Told | Self::GaveUp { .. } => Self::GaveUp {
                said: record.text,
                after: None,
            },
        }
    }

    fn line(self, line: &'a str, before: Before) -> Self {
        if matches!(self, Self::GaveUp { .. }) {
            // What belongs to it, a traceback too.
            return self;
        }
        match (self, before) {
            (Self::Told, Before::Chain) | (_, Before::Introduction) if line == TRACEBACK => {
                Self::Told
            }
            _ if line == TRACEBACK => Self::Exception {
                last: None,
                more: 0,
            },
            (Self::Exception { last: None, more }, _) if !line.starts_with(' ') => {
                Self::Exception {
                    last: Some(line),
                    more,
                }
            }
            (
                Self::Exception {
                    last: Some(_),
                    more,
                },
                _,
            ) if more == LONGEST_MESSAGE => Self::Nothing,
            (
                Self::Exception {
                    last: last @ Some(_),
                    more,
                },
                _,
            ) => Self::Exception {
                last,
                more: more + 1,
            },
            (same, _) => same,
        }
    }
}

/// What the line before a traceback makes of it.
#[derive(Clone, Copy)]
enum Before {
    /// One that somebody tells: a record of an error, a thread's end, asyncio's.
    Introduction,
    /// The next of several exceptions of which each came of the one before.
    Chain,
    /// Nothing: Python begins it.
    Other,
}

impl Before {
    fn read(line: &str) -> Self {
        let levels = ["] ERROR | ", "] WARNING | ", "[E ", "[W "];
        let is_of_error =
            Record::read(line).is_some() && levels.iter().any(|level| line.contains(level));
        if line.starts_with("During handling of the above exception")
            || line.starts_with("The above exception was the direct cause")
        {
            Self::Chain
        } else if is_of_error
            || line.ends_with(':')
            || line.starts_with("Exception ")
            || line.contains(": <")
        {
            Self::Introduction
        } else {
            Self::Other
        }
    }
}

/// A line that ipyparallel or Jupyter wrote as a record.
struct Record<'a> {
    critical: bool,
    /// The nanny of an engine writes into its log, and goes on when the engine has ended.
    of_a_nanny: bool,
    text: &'a str,
}

impl<'a> Record<'a> {
    /// `2026-11-26 19:23:35.689 [IPEngine.0.0] CRITICAL | received signal 15, stopping`, or `[C 2026-11-26 19:25:47.788 ServerApp] Bad
    /// config ...`.
    fn read(line: &'a str) -> Option<Self> {
        let is_of_a_time = |char: char| char.is_ascii_digit() || "-:., ".contains(char);
        let (head, text) = line
            .trim_start_matches(is_of_a_time)
            .strip_prefix('[')?
            .split_once(']')?;
        let (name, level) = match head.split_once(' ') {
            Some((level @ ("C" | "E" | "W" | "I" | "D"), rest)) => {
                (rest.rsplit(' ').next()?, level == "C")
            }
            _ => (head, false),
        };
        let is_of_a_name = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
        if !name.starts_with(|char: char| char.is_ascii_alphabetic())
            || !name.chars().all(is_of_a_name)
        {
            return None;
        }
        let text = text.trim_start();
        let critical = text.strip_prefix("CRITICAL | ");
        Some(Self {
            critical: level || critical.is_some(),
            of_a_nanny: name.starts_with("KernelNanny"),
            text: critical.unwrap_or(text),
        })
    }
}

/// A line without the label that srun puts before it.
fn unlabelled(line: &str) -> &str {
    match line.split_once(": ") {
        Some((label, rest)) if label.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an end with this code is told to be, by the lines of a log.
    fn told(code: i32, log: &str) -> Option<String> {
        let tail: Vec<String> = log.lines().map(str::to_owned).collect();
        LastWords::read(&Exit::Code(code), &tail).map(|words| words.to_string())
    }

    /// An engine's log up to a task that failed, as ipyparallel 9.2 writes it.
    const TASK_FAILED: &str = "\
2026-11-26 19:23:27.636 [IPEngine.0.0] Completed registration with id 0
2026-11-26 19:23:28.526 [IPEngine.0.0] Handling apply_request: 97034ef0_1
2026-11-26 19:23:28.897 [IPEngine.0.0] Exception in apply request:
---------------------------------------------------------------------------
ValueError                                Traceback (most recent call last)
File /venv/lib/python3.11/site-packages/ipyparallel/engine/kernel.py:157, in IPythonParallelKernel.do_apply
    155 code = f\"{resultname} = {fname}\"
File /tmp/c.py:4, in bad()
      3 def bad():
----> 4     raise ValueError('bad input in step 3')
ValueError: bad input in step 3
";

    /// What the nanny writes when the engine has ended.
    const NANNY: &str = "\
2026-11-26 19:23:35.834 [KernelNanny.0] Pipe closed, parent 8923 has status: zombie
2026-11-26 19:23:35.835 [KernelNanny.0] Notifying Hub that our parent has shut down
";

    const UNCAUGHT: &str = "\
Traceback (most recent call last):
  File \"/venv/bin/ipengine\", line 8, in <module>
    sys.exit(main())
             ^^^^^^
  File \"/usr/lib/python3.11/json/decoder.py\", line 353, in raw_decode
    obj, end = self.scan_once(s, idx)
json.decoder.JSONDecodeError: Expecting ':' delimiter: line 2 column 1 (char 5)
";

    #[test]
    fn a_task_that_failed_before_is_no_cause() {
        for log in [
            TASK_FAILED.to_owned(),
            format!("{TASK_FAILED}{NANNY}"),
            format!("{TASK_FAILED}2026-11-26 19:23:29 [IPEngine.0.0] Handling apply_request: 2\n"),
            // `%xmode Plain` has the form of Python's own.
            format!("2026-11-26 19:23:28 [IPEngine.0] Exception in apply request:\n{UNCAUGHT}"),
            format!("Exception in thread Thread-3 (f):\n{UNCAUGHT}"),
            format!(
                "Exception in thread Thread-3 (f):\n{UNCAUGHT}During handling of the above exception, another exception occurred:\n{UNCAUGHT}"
            ),
            format!(
                "Task exception was never retrieved\nfuture: <Task finished name='Task-9'>\n{UNCAUGHT}"
            ),
            format!("[E 2026-11-26 19:25:47.788 ServerApp] Uncaught exception GET /x\n{UNCAUGHT}"),
            format!(
                "{UNCAUGHT}2026-11-26 19:23:29 [IPEngine.0.0] Completed registration with id 0\n"
            ),
            // It was caught, and the program went on.
            format!("{UNCAUGHT}{}", "step done\n".repeat(100)),
        ] {
            assert_eq!(told(1, &log), None, "{log}");
        }
    }

    #[test]
    fn an_exception_that_nobody_caught_is_the_cause_of_exit_code_1() {
        let last =
            "json.decoder.JSONDecodeError: Expecting ':' delimiter: line 2 column 1 (char 5)";
        let chain = "The above exception was the direct cause of the following exception:";
        for log in [
            UNCAUGHT.to_owned(),
            format!("{TASK_FAILED}{UNCAUGHT}"),
            format!("{UNCAUGHT}{NANNY}"),
            format!("2026-11-26 19:23:27 [IPEngine.0] Starting nanny\n{UNCAUGHT}"),
            format!("Exception in thread T:\nTraceback (most recent call last):\nE: x\n{UNCAUGHT}"),
            format!(
                "Traceback (most recent call last):\n  File \"x\"\nKeyError: 'y'\n{chain}\n{UNCAUGHT}"
            ),
            format!("0: ipjob-engine world of 2\n{UNCAUGHT}").replace('\n', "\n0: "),
        ] {
            assert_eq!(told(1, &log).as_deref(), Some(last), "{log}");
            // What `os._exit(7)` ended was not ended by it.
            assert_eq!(told(7, &log), None, "{log}");
            let signal = Exit::Signal {
                number: 11,
                name: "SIGSEGV".to_owned(),
            };
            let tail: Vec<String> = log.lines().map(str::to_owned).collect();
            assert_eq!(LastWords::read(&signal, &tail), None);
        }
        // One without a message, and one with several lines.
        let begin = "Traceback (most recent call last):\n  File \"x\"";
        assert_eq!(
            told(1, &format!("{begin}\nKeyboardInterrupt")).as_deref(),
            Some("KeyboardInterrupt")
        );
        assert_eq!(
            told(
                1,
                &format!("{begin}\nImportError: read this:\nfirst\n second")
            )
            .as_deref(),
            Some("ImportError: read this:")
        );
        let numpys = format!(
            "{begin}\nImportError: read this:\n{}",
            "advice\n".repeat(16)
        );
        assert_eq!(told(1, &numpys).as_deref(), Some("ImportError: read this:"));
    }

    #[test]
    fn what_a_program_gives_up_for_is_the_cause() {
        let signal = format!(
            "2026-11-26 19:23:35.689 [IPEngine.0.0] CRITICAL | received signal 15, stopping\n{UNCAUGHT}{NANNY}"
        );
        assert_eq!(
            told(1, &signal).as_deref(),
            Some("received signal 15, stopping"),
            "and not the exception that came of it"
        );
        let both = "\
2026-11-26 19:25:42.133 [IPController] CRITICAL | Received signal 15, shutting down
2026-11-26 19:25:42.136 [IPController] CRITICAL | terminating children...";
        assert_eq!(
            told(1, both).as_deref(),
            Some("Received signal 15, shutting down")
        );
        let bad = "No such directory: ''/nosuch''";
        let jupyter = format!("[C 2026-11-26 19:25:52.349 ServerApp] {bad}");
        assert_eq!(told(1, &jupyter).as_deref(), Some(bad));
        let notebook_6 = format!("[C 19:25:52.349 NotebookApp] {bad}");
        assert_eq!(told(1, &notebook_6).as_deref(), Some(bad));
        let address = "\
[C 2026-11-26 19:25:58.330 ServerApp] 
    To access the server, open this file in a browser:
        http://localhost:8888/lab?token=secret";
        assert_eq!(told(1, address), None);
        let before = format!("{both}\n2026-11-26 19:25:43 [IPController] Hub listening\n");
        assert_eq!(told(1, &before), None, "it went on");
        assert_eq!(told(1, "the program's own words"), None);
    }

    #[test]
    fn a_nanny_that_cannot_start_is_told_with_the_file_that_was_in_its_way() {
        let log = "\
2026-11-26 19:22:27.7 [IPEngine.0.0] Starting nanny
Traceback (most recent call last):
  File \"/usr/lib/python3.11/tempfile.py\", line 184, in <module>
    from random import Random as _Random
ImportError: cannot import name 'Random' from 'random' (/home/ada/random.py)
2026-11-26 19:22:27.865 [IPEngine.0.0] CRITICAL | Error completing registration: nanny failed
Traceback (most recent call last):
  File \"/venv/lib/python3.11/site-packages/ipyparallel/engine/nanny.py\", line 289, in start_nanny
    raise RuntimeError(\"nanny failed\")
RuntimeError: nanny failed";
        let tail: Vec<String> = log.lines().map(str::to_owned).collect();
        let words = LastWords::read(&Exit::Code(255), &tail).expect("words");
        assert_eq!(
            words.to_string(),
            "Error completing registration: nanny failed, after ImportError: cannot import name 'Random' from 'random' (/home/ada/random.py)"
        );
        assert!(words.is_about_packages());
        assert_eq!(
            words.wrong_module(),
            Some(("random", "/home/ada/random.py"))
        );
        let circle = "ImportError: cannot import name 'x' from partially initialized module 'random' (most likely due to a circular import) (/home/ada/random.py)";
        let circle = LastWords::Exception(circle.to_owned());
        assert_eq!(
            circle.wrong_module(),
            Some(("random", "/home/ada/random.py"))
        );
        let missing = LastWords::Exception("ModuleNotFoundError: No module named 'x'".to_owned());
        assert!(missing.is_about_packages());
        assert_eq!(missing.wrong_module(), None);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_with_the_variable_that_moves_it() {
        for (path, variable) in [
            ("/home/ada/.jupyter", Some("JUPYTER_CONFIG_DIR")),
            ("/home/ada/.jupyter/migrated", Some("JUPYTER_CONFIG_DIR")),
            (
                "/home/ada/.local/share/jupyter/runtime",
                Some("JUPYTER_DATA_DIR"),
            ),
            ("/home/ada/.ipython/profile_x", Some("IPYTHONDIR")),
            ("/home/ada/.jupyterhub", None),
        ] {
            let words = LastWords::Exception(format!(
                "OSError: [Errno 30] Read-only file system: '{path}'"
            ));
            assert_eq!(words.closed_place(), variable.map(|name| (path, name)));
        }
        let other = "FileNotFoundError: [Errno 2] No such file or directory: '/home/ada/.jupyter'";
        assert_eq!(LastWords::Exception(other.to_owned()).closed_place(), None);
    }
}
