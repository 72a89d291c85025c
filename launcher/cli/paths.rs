//! Paths that options name.

use crate::failure::{Failure, Outcome};
use crate::plan::profile::ProfileName;
use std::env;
use std::fs;
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
            Failure::missing("HOME is not set, so there is no ~/.ipython")
                .hint("set HOME, or say where with --ipython-dir"),
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
            .hint("Jupyter shows an existing directory: make it first, or leave the option out"),
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
            .hint("the record replaces a file as a whole: name one, there already or not"),
    )
}

/// A path made absolute; one that is no Unicode text is refused, because the record and Python's options are text.
fn absolute(path: &Path, option: &str) -> Outcome<PathBuf> {
    if path.to_str().is_none() {
        return Err(Failure::usage(format!(
            "{option} {} is not Unicode text",
            path.display()
        )));
    }
    std::path::absolute(path).map_err(|error| {
        Failure::usage(format!(
            "{option} {:?} cannot be used",
            path.display().to_string()
        ))
        .because(error)
    })
}

/// The name of the profile, as `--profile` gives it, or that of this job.
pub fn profile_name(name: Option<&str>, job: &str) -> Outcome<ProfileName> {
    let Some(name) = name else {
        return Ok(ProfileName::of_job(job));
    };
    ProfileName::new(name).map_err(|fault| {
        Failure::usage(format!("--profile {name:?} {fault}"))
            .hint("give a plain name such as `job_local`; the directory is set by --ipython-dir")
    })
}
