//! What is known of an end, and what to do about it. PURE.
//!
//! docs/design/causes.md explains the design.

use crate::failure::{About, Failure, Kind};
use crate::plan::exit::MORE_MEMORY;
use crate::plan::last_words::LastWords;
use crate::plan::task_lines::{Topic, Words};
use crate::supervisor::event::Exit;

/// SIGKILL's number, the same on every Unix.
const KILL: i32 = 9;

/// What to do about a process that ended.
pub(super) fn next_step(exit: &Exit) -> &'static str {
    match exit {
        Exit::Signal { number: KILL, .. } => {
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
    } else if end.about == Some(About::Memory) {
        failure.hints.clone_from(&end.hints);
    }
    failure.about = end.about;
    failure
}

/// What Slurm's words say that a failure is about.
pub(super) fn by_slurm(failure: Failure, words: &Words) -> Failure {
    match words.about {
        Some(Topic::OutOfMemory) => failure.hint(MORE_MEMORY).about(About::Memory),
        Some(Topic::JobEnds) => failure.about(About::JobEnds),
        _ => failure,
    }
}

/// What a process itself told of its end, in its log.
pub(super) fn by_itself(mut failure: Failure, words: Option<&LastWords>) -> Failure {
    if let Some((module, file)) = words.and_then(LastWords::wrong_module) {
        failure = failure.hint(format!(
            "Python took {file} for the module `{module}`: rename that file if another module was meant, or start in another directory"
        ));
    }
    if let Some((path, variable)) = words.and_then(LastWords::closed_place) {
        failure = failure.hint(format!(
            "{path} cannot be written here: `export {variable}=DIRECTORY` names another place for what is kept there"
        ));
    }
    failure.cause = words.map(ToString::to_string);
    failure
}

/// Where more of engines that one starter has started is to be found.
pub(super) const LINES_OF_ENGINES: &str = "the last lines of the engines' log are above";

/// What to do about engines that ended as srun says.
pub(super) fn next_step_of_srun(words: &Words, cancelled: bool) -> &'static str {
    if cancelled {
        "somebody cancelled the engines' step (scancel JOB.STEP), as the engines' log says"
    } else if words.about == Some(Topic::Killed) {
        "killed by SIGKILL (the kernel's out-of-memory killer? `sacct --format=JobID,State,MaxRSS,ReqMem` tells)"
    } else {
        LINES_OF_ENGINES
    }
}
