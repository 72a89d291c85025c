//! How processes end.

use core::fmt;
use serde::{Deserialize, Serialize};

/// How a process ended. Other ranks tell it of theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal {
        /// The signal's number.
        number: i32,
        /// The signal's name: `SIGKILL`.
        name: String,
    },
}

impl Exit {
    /// The exit code as a shell tells it: 128 + n for signal n.
    #[must_use]
    pub fn shell_code(&self) -> u8 {
        let code = match self {
            Self::Code(code) => *code,
            Self::Signal { number, .. } => 128 + number,
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(out, "exit code {code}"),
            Self::Signal { number, name } => write!(out, "signal {number} ({name})"),
        }
    }
}
