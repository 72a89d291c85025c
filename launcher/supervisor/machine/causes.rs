//! What the last lines of a log tell about an end. PURE.

use crate::failure::{Failure, Kind};
use crate::plan::exit::MORE_MEMORY;
use crate::plan::report;
use crate::supervisor::event::{Exit, OutOfMemory};

/// What a process's last lines tell about its end: the exception that it died of, else, where it gave up by itself, its last
/// words. One that a signal ended was about something else.
pub(super) fn of<'a>(exit: &Exit, tail: &'a [String]) -> Option<&'a String> {
    let last = || tail.last().filter(|_| matches!(exit, Exit::Code(_)));
    tail.iter()
        .rev()
        .find(|line| is_exception(line))
        .or_else(last)
}

/// What to do about a process that ended.
pub(super) fn next_step(exit: &Exit) -> &'static str {
    match exit {
        Exit::Signal { name, .. } if name == "SIGKILL" => {
            "killed by SIGKILL (the kernel's out-of-memory killer? `dmesg` tells): batch systems kill so beyond a job's limit, too"
        }
        _ => "its last lines are above, all of them in the log of that name",
    }
}

/// Too few engines, because of the end of one. What is missing here stays that, with what to do about it.
pub(super) fn too_few(mut failure: Failure, end: &Failure) -> Failure {
    failure.cause = Some(end.to_string());
    if end.kind == Kind::Missing {
        failure.kind = Kind::Missing;
        failure.hints.clone_from(&end.hints);
    } else if end.hints.iter().any(|hint| hint == MORE_MEMORY) {
        failure.hints.clone_from(&end.hints);
    }
    failure
}

/// An end for want of memory: nothing that the process wrote is about it.
pub(super) fn out_of_memory(mut failure: Failure, memory: &OutOfMemory) -> Failure {
    failure.cause = Some(memory.to_string());
    failure.hints = vec![MORE_MEMORY.to_owned()];
    failure
}

/// What to do about engines that ended as srun says.
pub(super) fn next_step_of_srun(words: Option<&str>) -> &'static str {
    match words {
        Some(words) if report::is_out_of_memory(words) => MORE_MEMORY,
        Some(words) if words.ends_with(": Killed") => {
            "killed by SIGKILL (the kernel's out-of-memory killer? `sacct --format=JobID,State,MaxRSS,ReqMem` tells)"
        }
        _ => "the last lines of the engines' log are above",
    }
}

/// Whether a line is the last of a Python traceback: `ModuleNotFoundError: No module named 'x'`.
fn is_exception(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| {
        let name = name.rsplit('.').next().unwrap_or(name);
        (name.ends_with("Error") || name.ends_with("Exception"))
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Whether that line says that a package is missing.
pub(super) fn is_import_error(line: &str) -> bool {
    line.starts_with("ModuleNotFoundError") || line.starts_with("ImportError")
}
