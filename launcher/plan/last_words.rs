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
mod tests;
