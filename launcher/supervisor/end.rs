//! How the job ends. PURE.

use crate::failure::Failure;

/// How the job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The exit code.
    pub code: u8,
    /// The first reason, one line.
    pub reason: String,
    /// What is shown as the error, where it is one.
    pub failure: Option<Failure>,
}

impl End {
    /// The end that a failure is.
    #[must_use]
    pub fn of(failure: Failure) -> Self {
        Self {
            code: failure.exit_code(),
            reason: failure.to_string(),
            failure: Some(failure),
        }
    }

    /// An end that somebody asked for.
    #[must_use]
    pub fn orderly(reason: impl Into<String>) -> Self {
        Self {
            code: 0,
            reason: reason.into(),
            failure: None,
        }
    }
}
