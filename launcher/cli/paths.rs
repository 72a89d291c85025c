//! Paths that options name.

use crate::failure::{Failure, Outcome};
use crate::plan::profile::ProfileName;
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The IPython directory: the option, else IPYTHONDIR, else ~/.ipython.
pub fn ipython_dir(option: Option<&Path>) -> Outcome<PathBuf> {
    if let Some(path) = option {
        return absolute(path, "--ipython-dir");
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = set("IPYTHONDIR") {
        return absolute(Path::new(&path), "IPYTHONDIR");
    }
    // No look-up of the user's entry: in a static binary that would load the site's name service.
    match set("HOME") {
        Some(home) => absolute(&Path::new(&home).join(".ipython"), "HOME"),
        None => Err(
            Failure::missing("HOME is not set, so ipjob cannot find ~/.ipython")
                .hint("set HOME, or give the directory with --ipython-dir"),
        ),
    }
}

pub fn root_dir(path: &Path) -> Outcome<PathBuf> {
    let path = absolute(path, "--root-dir")?;
    if path.is_dir() {
        return Ok(path);
    }
    Err(
        Failure::usage(format!("--root-dir {} is not a directory", path.display()))
            .hint("create the directory first, or leave the option out"),
    )
}

/// The place of the second record. The record takes the place of what has its name, which for a device or a pipe is never meant.
pub fn record(path: &Path) -> Outcome<PathBuf> {
    let path = absolute(path, "--record")?;
    let kind = match fs::metadata(&path).map(|found| found.file_type()) {
        Ok(kind) if kind.is_dir() => "a directory",
        Ok(kind) if kind.is_fifo() => "a pipe",
        Ok(kind) if kind.is_socket() => "a socket",
        Ok(kind) if !kind.is_file() => "a device",
        _ => return Ok(path),
    };
    Err(
        Failure::usage(format!("--record {} is {kind}", path.display()))
            .hint("name a regular file; it need not exist"),
    )
}

/// A path made absolute; one that is no Unicode text is refused, because the record and Python's options are text.
fn absolute(path: &Path, option: &str) -> Outcome<PathBuf> {
    let Some(text) = path.to_str() else {
        return Err(Failure::usage(format!(
            "{option} {} is not Unicode text",
            path.display()
        )));
    };
    if let Some(variable) = variable(text) {
        return Err(Failure::usage(format!(
            "{option} is {text:?}: {variable} was not expanded"
        ))
        .hint("a shell does not expand variables in single quotes; a module file writes `$env(HOME)` (Tcl) or `os.getenv(\"HOME\")` (Lua)"));
    }
    let home = env::var_os("HOME").filter(|home| !home.is_empty());
    let path = match (text.strip_prefix('~'), home) {
        // IPython does so too: clients look for the same directory.
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            Path::new(&home).join(rest.trim_start_matches('/'))
        }
        _ => path.to_owned(),
    };
    if path.is_relative() {
        working_directory()?;
    }
    std::path::absolute(&path).map_err(|error| {
        Failure::usage(format!(
            "{option} {:?} cannot be used",
            path.display().to_string()
        ))
        .because(error)
    })
}

/// A variable of the shell's that stands in a path: `$HOME`, `${USER}`.
fn variable(text: &str) -> Option<&str> {
    let (begin, _) = text.match_indices('$').find(|(at, _)| {
        let next = text[at + 1..].chars().next();
        next.is_some_and(|char| char.is_ascii_alphabetic() || char == '_' || char == '{')
    })?;
    let rest = &text[begin + 1..];
    let length = match rest.strip_prefix('{') {
        Some(name) => 2 + name.find('}')?,
        None => rest
            .find(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
            .unwrap_or(rest.len()),
    };
    Some(&text[begin..=begin + length])
}

/// The working directory: programs that are started in one that is gone fail each in its own way.
pub fn working_directory() -> Outcome<PathBuf> {
    env::current_dir().map_err(|error| {
        let name = env::var_os("PWD").map(PathBuf::from);
        let name = name.map_or_else(String::new, |name| format!(" {}", name.display()));
        let message = match error.kind() {
            io::ErrorKind::NotFound => format!("the working directory{name} is gone"),
            _ => format!("the working directory{name} cannot be used"),
        };
        Failure::missing(message)
            .because(error)
            .hint("`cd` to a directory that exists, or submit the job from one (sbatch --chdir=DIRECTORY)")
    })
}

/// The name of the profile, as `--profile` gives it, or that of this job.
pub fn profile_name(name: Option<&str>, job: &str) -> Outcome<ProfileName> {
    let Some(name) = name else {
        return Ok(ProfileName::of_job(job));
    };
    ProfileName::new(name).map_err(|fault| {
        Failure::usage(format!("--profile {name:?} {fault}"))
            .hint("give a plain name such as `job_local`; --ipython-dir sets the directory")
    })
}
