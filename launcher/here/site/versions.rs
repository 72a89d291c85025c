//! Versions of Python packages: told by files where they tell, else by the program itself, which is half a second of the start.
//! And what a Python prints when it starts, which only it can tell.

use super::packages;
use crate::failure::{Failure, Outcome};
use crate::here::os::run_program::Question;
use crate::here::os::text::printable;
use crate::plan::version::Version;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// The version of `package` that `program` runs with; a program that must be asked has `limit` to answer.
pub async fn of(program: &Path, package: &str, limit: Duration) -> Outcome<Version> {
    let variable = |name: &str| std::env::var_os(name);
    match packages::certain(program, package, variable) {
        Some(version) => Ok(version),
        None => by_asking(program, package, limit).await,
    }
}

/// The version that the program itself prints, with its own words where it cannot.
async fn by_asking(program: &Path, package: &str, limit: Duration) -> Outcome<Version> {
    let failure = |cause: &str| {
        Failure::missing(format!(
            "{} does not print the version of {package}",
            program.display()
        ))
        .because(cause)
        .hint(format!(
            "run `{} --version`: it must print a version; install {package} where its Python runs",
            program.display()
        ))
    };
    let mut question =
        Question::ask(program, &["--version"]).map_err(|error| failure(&error.to_string()))?;
    let status = question.end(limit).await.map_err(|cause| failure(&cause))?;
    version(&mut question, status).map_err(|cause| failure(&cause))
}

/// A Python that was started to do nothing: what its site's modules print is seen, 10 ms later.
pub struct Start(Question);

impl Start {
    /// Starts it; `None` where it cannot be.
    #[must_use]
    pub fn of(python: &Path) -> Option<Self> {
        Question::ask(python, &["-c", ""]).ok().map(Self)
    }

    /// The first line that it has printed; `None` where there is none, or it has not ended within `limit`.
    pub async fn printed(mut self, limit: Duration) -> Option<String> {
        self.0.end(limit).await.ok()?;
        self.0.output().lines().next().map(printable)
    }
}

/// The version that was printed, or the last line of what went wrong.
fn version(question: &mut Question, status: ExitStatus) -> Result<Version, String> {
    let output = question.output();
    let version = output.lines().rev().find_map(Version::parse);
    version.filter(|_| status.success()).ok_or_else(|| {
        let errors = question.errors();
        let last = errors.lines().rev().find(|line| !line.trim().is_empty());
        printable(last.unwrap_or("it printed no version").trim())
    })
}
