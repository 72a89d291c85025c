//! Programs on PATH.

use crate::failure::{Failure, Outcome};
use std::env;
use std::path::{Path, PathBuf};

/// Finds a program as a shell would; `package` is what to install where it is missing.
pub fn find(program: &str, package: &str) -> Outcome<PathBuf> {
    which::which(program).map_err(|_| {
        not_found(
            program,
            &format!("or reinstall {package}"),
            &format!("load the module or activate the environment that has it, or `pip install {package}`"),
        )
    })
}

/// Finds a program of Slurm's.
pub fn find_slurms(program: &str) -> Outcome<PathBuf> {
    which::which(program).map_err(|_| {
        not_found(
            program,
            "or ask who runs this system",
            "Slurm's programs are on PATH where jobs of this system usually run: in a container, bind them into it",
        )
    })
}

/// Finds a starter of MPI programs.
pub fn find_mpiexec(program: &str) -> Outcome<PathBuf> {
    which::which(program).map_err(|_| {
        not_found(
            program,
            "or name another with --launcher-command",
            "load the module or activate the environment that has an MPI library, or name its launcher with --launcher-command",
        )
    })
}

/// Finds a driver's program: it is the user's own, so nothing is to be installed, and often a script of the working directory.
pub fn find_driver(program: &str) -> Outcome<PathBuf> {
    let next = if Path::new(program)
        .extension()
        .is_some_and(|end| end == "py")
    {
        format!("`python {program}`, or `./{program}` if it is executable")
    } else {
        format!(
            "`./{program}` if it is a program of the working directory; else load the module or environment that has it"
        )
    };
    which::which(program)
        .map_err(|_| not_found(program, "or name its interpreter before it", &next))
}

/// What is said of a program that is not found: the next step if it is not executable, and if it is nowhere.
fn not_found(program: &str, else_anew: &str, nowhere: &str) -> Failure {
    if program.contains('/') {
        return Failure::missing(format!("{program} is not a program that can be run"))
            .hint("check the path and that the file is executable (`ls -l`)");
    }
    let Some(path) = env::var_os("PATH") else {
        return Failure::missing(format!("{program} cannot be found: PATH is not set"))
            .hint("set PATH, or load the module or environment that has it");
    };
    let blocked = env::split_paths(&path)
        .map(|entry| entry.join(program))
        .find(|file| file.is_file());
    if let Some(file) = blocked {
        return Failure::missing(format!("{} is not executable", file.display()))
            .hint(format!("`chmod +x {}`, {else_anew}", file.display()));
    }
    let entries: Vec<String> = env::split_paths(&path)
        .map(|entry| entry.display().to_string())
        .collect();
    Failure::missing(format!("{program} is not on PATH"))
        .because(format!("tried {}", entries.join(", ")))
        .hint(nowhere)
}
