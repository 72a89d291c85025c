//! Versions of Python packages, found without starting Python where that can be.
//!
//! A console script of pip or conda names its Python in the first line; the package's dist-info directory beside that
//! Python carries the version. That is a millisecond; asking the program is half a second of every start, and is done only
//! where the files do not tell (wrappers, containers, unusual layouts).

use crate::failure::{Failure, Outcome};
use crate::plan::version::Version;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of `package` that `program` runs with.
pub fn of(program: &Path, package: &str) -> Outcome<Version> {
    by_files(program, package).map_or_else(|| by_asking(program, package), Ok)
}

/// The version that the dist-info directory tells.
#[must_use]
pub fn by_files(program: &Path, package: &str) -> Option<Version> {
    let python = python_of(program)?;
    let library = python.parent()?.parent()?.join("lib");
    let prefix = format!("{package}-");
    let mut found = fs::read_dir(library)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .filter_map(|entry| fs::read_dir(entry.path().join("site-packages")).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Version::parse(name.strip_prefix(&prefix)?.strip_suffix(".dist-info")?)
        });
    let version = found.next()?;
    // Two versions side by side are a broken environment: only Python itself knows which one it takes.
    found.all(|other| other == version).then_some(version)
}

/// The Python that a console script runs with, where its first lines tell.
#[must_use]
pub fn python_of(program: &Path) -> Option<PathBuf> {
    interpreter(&fs::read(program).ok()?)
}

/// The Python of a console script: behind `#!`, or, where that would be too long for the kernel, behind pip's `'''exec'`.
fn interpreter(script: &[u8]) -> Option<PathBuf> {
    let head = script.get(..script.len().min(4096))?;
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let first = lines.next()?.strip_prefix("#!")?.trim();
    let path = if first == "/bin/sh" {
        lines
            .next()?
            .strip_prefix("'''exec' ")?
            .trim_end_matches("\"$0\" \"$@\"")
            .trim()
            .trim_matches('"')
            .to_owned()
    } else {
        first.to_owned()
    };
    // `#!/usr/bin/env python3` says nothing about where the packages are.
    (path.contains("python") && !path.contains(' ') || Path::new(&path).is_file())
        .then(|| PathBuf::from(path))
        .filter(|path| path.is_absolute() && path.file_name().is_some_and(|name| name != "env"))
}

/// The version that the program itself prints, with its own words where it cannot.
fn by_asking(program: &Path, package: &str) -> Outcome<Version> {
    let failure = |cause: &str| {
        Failure::missing(format!(
            "{} does not tell the version of {package}",
            program.display()
        ))
        .because(cause)
        .hint(format!(
            "run `{} --version`: it must print a version; install {package} where its Python runs",
            program.display()
        ))
    };
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failure(&error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().rev().find_map(Version::parse);
    version.filter(|_| output.status.success()).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty());
        failure(last.unwrap_or("it printed no version").trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_console_script_name_their_python() {
        let plain = b"#!/venv/bin/python3\n# -*- coding: utf-8 -*-\n";
        assert_eq!(interpreter(plain), Some(PathBuf::from("/venv/bin/python3")));
        let long = b"#!/bin/sh\n'''exec' /very/long/bin/python3 \"$0\" \"$@\"\n' '''\n";
        assert_eq!(
            interpreter(long),
            Some(PathBuf::from("/very/long/bin/python3"))
        );
        assert_eq!(interpreter(b"#!/usr/bin/env python3\n"), None);
        assert_eq!(interpreter(b"\x7fELF"), None);
    }
}
