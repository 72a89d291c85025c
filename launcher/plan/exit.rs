//! How processes end.

use crate::failure::{About, Failure};
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

/// How another rank's engine ended, as that rank tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankEnd {
    /// The engine's process id there; 0 where there was none.
    pub pid: u32,
    /// How it ended.
    pub exit: Exit,
    /// Whether memory was short there, where that is known.
    pub memory: Option<OutOfMemory>,
}

/// The kernel has killed a process because memory was short: by the count of its control group, which grew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfMemory {
    /// Where.
    pub node: String,
    /// The least limit that the process's control groups set, in bytes; `None` where none of them sets one.
    pub limit: Option<u64>,
}

/// What to do where memory is short.
pub const MORE_MEMORY: &str =
    "ask Slurm for more memory (`#SBATCH --mem=...`), start fewer engines, or give each less data";

impl OutOfMemory {
    /// A failure that this is the cause of: nothing that the process wrote is about it.
    #[must_use]
    pub fn explain(&self, failure: Failure) -> Failure {
        let mut failure = failure.because(self).about(About::Memory);
        failure.hints = vec![MORE_MEMORY.to_owned()];
        failure
    }
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        let node = &self.node;
        write!(
            out,
            "the kernel's out-of-memory killer ended it on {node}, "
        )?;
        match self.limit {
            Some(bytes) => write!(out, "where the memory limit is {} MiB", bytes / MIB),
            None => out.write_str("whose whole memory was used up: no limit is set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_told_where_there_is_one() {
        let node = "node1".to_owned();
        let mut found = OutOfMemory {
            node,
            limit: Some(600 << 20),
        };
        assert_eq!(
            found.to_string(),
            "the kernel's out-of-memory killer ended it on node1, where the memory limit is 600 MiB"
        );
        found.limit = None;
        assert!(found.to_string().ends_with("no limit is set"));
    }
}
