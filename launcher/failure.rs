//! What went wrong, in one shape: a kind (which decides the exit code), a message with the real name or number,
//! hints that say what to do next, and the cause in the words of whoever reported it.

use std::fmt;

/// What a failure is; its number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A service failed after the job was ready.
    Service = 1,
    /// A flag, an argument or a variable cannot be used.
    Usage = 2,
    /// The job did not become ready: a service failed or the time ran out.
    NotReady = 3,
    /// Something is missing here: a program, a version, a directory, a free port.
    Missing = 4,
    /// There is no such job, or it is another user's.
    NoJob = 5,
    /// The ssh program failed, or what it reached did.
    Ssh = 6,
    /// The job's time limit came.
    TimeLimit = 7,
}

/// Every exit code of `ipjob` and what it means: the README and `--help` show this table, and a test holds them to it.
pub const EXIT_CODES: &[(u8, &str)] = &[
    (
        0,
        "ended as asked: a signal, Jupyter's own \"Shut Down\", or a client's `shutdown`",
    ),
    (1, "a service failed after the job was ready"),
    (2, "usage: a flag, argument or variable cannot be used"),
    (3, "not ready: a service failed or the time ran out"),
    (
        4,
        "something is missing here: a program, version, directory or port",
    ),
    (5, "no such job, or another user's"),
    (6, "ssh failed"),
    (7, "the job reached its time limit"),
];

/// The line below the table: with a driver command, its exit code replaces the table's 0.
pub const DRIVER_EXIT_CODE: &str =
    "with a driver COMMAND: the command's own code (128 + n when signal n ended it)";

/// What a failure is about, where more is decided by it than by its kind: whoever reports it knows, and texts are for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Memory was short.
    Memory,
    /// Slurm takes the whole job down.
    JobEnds,
    /// Another ipjob has the profile.
    InUse,
}

/// One failure, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What happened, lower case, with the real name or number.
    pub message: String,
    /// What to do next, one sentence each.
    pub hints: Vec<String>,
    /// The reporter's own words: an operating system's error, a traceback's last line.
    pub cause: Option<String>,
    /// What it is about, where that is decided by.
    pub about: Option<About>,
}

/// The result of everything here that can fail.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure of `kind` without hints or cause.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            cause: None,
            about: None,
        }
    }

    /// A flag, argument or variable that cannot be used.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Something that is missing on this machine.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(Kind::Missing, message)
    }

    /// A job that is not there, or not ours.
    pub fn no_job(message: impl Into<String>) -> Self {
        Self::new(Kind::NoJob, message)
    }

    /// A failure of the ssh program, or on the host that it reached.
    pub fn ssh(message: impl Into<String>) -> Self {
        Self::new(Kind::Ssh, message)
    }

    /// A job that did not become ready.
    pub fn not_ready(message: impl Into<String>) -> Self {
        Self::new(Kind::NotReady, message)
    }

    /// A service that failed after the job was ready.
    pub fn service(message: impl Into<String>) -> Self {
        Self::new(Kind::Service, message)
    }

    /// Adds a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the reporter's own words.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Tells what it is about.
    #[must_use]
    pub fn about(mut self, about: About) -> Self {
        self.about = Some(about);
        self
    }

    /// The exit code of a program that ends with this failure.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.kind as u8
    }
}

/// The message and its cause on one line; hints are for whoever shows the failure.
impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        self.cause
            .as_ref()
            .map_or(Ok(()), |cause| write!(out, ": {cause}"))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_row_in_the_table() {
        for kind in [
            Kind::Service,
            Kind::Usage,
            Kind::NotReady,
            Kind::Missing,
            Kind::NoJob,
            Kind::Ssh,
            Kind::TimeLimit,
        ] {
            let code = Failure::new(kind, "x").exit_code();
            assert!(
                EXIT_CODES.iter().any(|(row, _)| *row == code),
                "{kind:?} = {code} has no row"
            );
        }
    }
}
