//! Python packages as files tell of them, without starting Python.
//!
//! A console script of pip or conda names its Python in the first line; the package's dist-info directory beside that
//! Python carries the version. That is a millisecond, but other places can go before it: only where none can is it certain.

use crate::plan::version::Version;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a program in which its Python is named: what else it holds may be large, and on a slow file system.
const HEAD: u64 = 4096;

/// Variables that put other packages before a Python's own.
const REDIRECTIONS: [&str; 3] = ["PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE"];

/// The version that `program` runs with, where nothing but its Python's own packages can be meant; `None` where it must be asked.
#[must_use]
pub fn certain(
    program: &Path,
    package: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<Version> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if REDIRECTIONS.iter().any(|name| set(name).is_some()) {
        return None;
    }
    let python = python_of(program)?;
    // What pip installed for one user, or for another prefix, has another place for its packages.
    let script = fs::canonicalize(program).ok()?;
    if script.parent()? != fs::canonicalize(python.parent()?).ok()? {
        return None;
    }
    let root = python.parent()?.parent()?;
    let config = fs::read_to_string(root.join("pyvenv.cfg")).ok();
    let library = library(root, config.as_deref())?;
    let users = users_packages(&library, config.as_deref(), set);
    if users.is_some_and(|packages| packages.join(package).exists()) {
        return None;
    }
    only(versions(&library.join("site-packages"), package))
}

/// The version of a package that the Python of a program finds, wherever the program itself lies: in PYTHONPATH, where modules of
/// many sites put packages, among the user's own, or beside that Python.
#[must_use]
pub fn installed(program: &Path, package: &str) -> Option<Version> {
    found(program, package, |name| std::env::var_os(name))
}

fn found(
    program: &Path,
    package: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<Version> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let path = set("PYTHONPATH").unwrap_or_default();
    // An empty entry is the working directory, from which nothing is taken.
    let mut before = std::env::split_paths(&path).filter(|entry| !entry.as_os_str().is_empty());
    if let Some(version) = before.find_map(|entry| only(versions(&entry, package))) {
        return Some(version);
    }
    let python = python_of(program)?;
    let root = python.parent()?.parent()?;
    let config = fs::read_to_string(root.join("pyvenv.cfg")).ok();
    let libraries = libraries(root);
    let users = libraries
        .iter()
        .filter_map(|library| users_packages(library, config.as_deref(), set));
    let own = libraries
        .iter()
        .map(|library| library.join("site-packages"));
    only(users.flat_map(|packages| versions(&packages, package)))
        .or_else(|| only(own.flat_map(|packages| versions(&packages, package))))
}

/// Where the user's own packages for that library would lie: they go before those of a Python that is no virtual environment.
fn users_packages(
    library: &Path,
    config: Option<&str>,
    set: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let shuts_the_user_out = config.is_some_and(|text| {
        configured(text, "include-system-site-packages").is_none_or(|value| value == "false")
    });
    if shuts_the_user_out || set("PYTHONNOUSERSITE").is_some() {
        return None;
    }
    let base = match set("PYTHONUSERBASE") {
        Some(base) => PathBuf::from(base),
        None => Path::new(&set("HOME")?).join(".local"),
    };
    Some(
        base.join("lib")
            .join(library.file_name()?)
            .join("site-packages"),
    )
}

/// The Python that a console script runs with, where its first lines tell.
#[must_use]
pub fn python_of(program: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(program)
        .ok()?
        .take(HEAD)
        .read_to_end(&mut head)
        .ok()?;
    interpreter(&head)
}

/// The Python of a console script: behind `#!`, or, where that would be too long for the kernel, behind pip's `'''exec'`.
fn interpreter(script: &[u8]) -> Option<PathBuf> {
    let text = String::from_utf8_lossy(script);
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
        .filter(|path| path.is_absolute() && is_python(path))
}

/// `#!/bin/bash` names a program too.
fn is_python(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    ["python", "pypy", "graalpy"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// The `lib/python3.12` of a prefix: the one that its pyvenv.cfg means, or the only one.
fn library(root: &Path, config: Option<&str>) -> Option<PathBuf> {
    let found = libraries(root);
    let meant = config.and_then(|text| {
        // venv writes `version = 3.12.3`, virtualenv and uv `version_info = 3.12.3.final.0`.
        let version = configured(text, "version").or_else(|| configured(text, "version_info"))?;
        let mut parts = version.split('.');
        Some(format!("python{}.{}", parts.next()?, parts.next()?))
    });
    match meant {
        Some(name) => found.into_iter().find(|path| path.ends_with(&name)),
        None => only(found),
    }
}

/// Every `lib/python3*` of a prefix. Conda has links among them, from names that old programs expect.
fn libraries(root: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(root.join("lib")).into_iter().flatten();
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .filter_map(|entry| fs::canonicalize(entry.path()).ok())
        .filter(|path| path.join("site-packages").is_dir())
        .collect()
}

/// A value of pyvenv.cfg.
fn configured<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

/// The versions that dist-info directories tell, in a directory of packages.
fn versions(packages: &Path, package: &str) -> Vec<Version> {
    let prefix = format!("{package}-");
    let entries = fs::read_dir(packages);
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Version::parse(name.strip_prefix(&prefix)?.strip_suffix(".dist-info")?)
        })
        .collect()
}

/// What all of them are. Two versions side by side are a broken environment: only Python itself knows which one it takes.
fn only<T: PartialEq>(found: impl IntoIterator<Item = T>) -> Option<T> {
    let mut found = found.into_iter();
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A prefix with `bin/ipcontroller` for its own Python, and this version in each of these libraries.
    fn prefix(libraries: &[(&str, &str)], config: Option<&str>) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let root = fs::canonicalize(dir.path()).expect("a directory");
        fs::create_dir(root.join("bin")).expect("made");
        for (library, version) in libraries {
            let package = format!("lib/{library}/site-packages/ipyparallel-{version}.dist-info");
            fs::create_dir_all(root.join(package)).expect("made");
        }
        if let Some(text) = config {
            fs::write(root.join("pyvenv.cfg"), text).expect("written");
        }
        let program = root.join("bin/ipcontroller");
        let python = root.join("bin/python3");
        fs::write(&program, format!("#!{}\n", python.display())).expect("written");
        (dir, program)
    }

    /// What is certain with these variables.
    fn told(program: &Path, variables: &[(&str, &str)]) -> Option<String> {
        let home = [("HOME", "/nonexistent")];
        let variable = |wanted: &str| {
            let mut all = variables.iter().chain(&home);
            all.find(|(name, _)| *name == wanted)
                .map(|(_, value)| OsString::from(value))
        };
        certain(program, "ipyparallel", variable).map(|version| version.to_string())
    }

    const VENV: &str = "include-system-site-packages = false\nversion = 3.12.3\n";

    #[test]
    fn virtual_environments_and_conda_are_certain() {
        let (_dir, venv) = prefix(
            &[("python3.12", "9.0.1"), ("python3.9", "8.0.0")],
            Some(VENV),
        );
        assert_eq!(told(&venv, &[("PYTHONPATH", "")]).as_deref(), Some("9.0.1"));
        let uv = "version_info = 3.12.3.final.0\n";
        let (_dir, venv) = prefix(&[("python3.12", "9.0.1"), ("python3.9", "8.0.0")], Some(uv));
        assert_eq!(told(&venv, &[]).as_deref(), Some("9.0.1"));
        let (dir, conda) = prefix(&[("python3.11", "8.8.0")], None);
        let old_name = dir.path().join("lib/python3.1");
        std::os::unix::fs::symlink("python3.11", old_name).expect("a link");
        assert_eq!(told(&conda, &[]).as_deref(), Some("8.8.0"));
        // A link to the script runs the same Python.
        let link = dir.path().join("ipcontroller");
        std::os::unix::fs::symlink(&conda, &link).expect("a link");
        assert_eq!(told(&link, &[]).as_deref(), Some("8.8.0"));
    }

    #[test]
    fn where_other_packages_can_go_before_the_program_is_asked() {
        let (dir, venv) = prefix(&[("python3.12", "9.0.1")], Some(VENV));
        for variable in REDIRECTIONS {
            assert_eq!(told(&venv, &[(variable, "/x")]), None, "{variable}");
        }
        let elsewhere = dir.path().join("ipcontroller");
        fs::copy(&venv, &elsewhere).expect("a copy");
        assert_eq!(told(&elsewhere, &[]), None, "a script elsewhere");
        assert!(installed(&elsewhere, "ipyparallel").is_some());
        let (_dir, two) = prefix(&[("python3.12", "9.0.1"), ("python3.9", "9.0.1")], None);
        assert_eq!(told(&two, &[]), None, "two libraries");
        let other = VENV.replace("3.12", "3.13");
        let (_dir, upgraded) = prefix(&[("python3.12", "9.0.1")], Some(&other));
        assert_eq!(told(&upgraded, &[]), None, "a library of another Python");
    }

    #[test]
    fn the_users_own_packages_go_before_those_of_conda_and_not_of_a_virtual_environment() {
        let (_conda, conda) = prefix(&[("python3.12", "9.0.1")], None);
        let (_venv, venv) = prefix(&[("python3.12", "9.0.1")], Some(VENV));
        let home = tempfile::tempdir().expect("a directory");
        let own = ".local/lib/python3.12/site-packages/ipyparallel";
        fs::create_dir_all(home.path().join(own)).expect("made");
        let variables = [("HOME", home.path().to_str().expect("text"))];
        assert_eq!(told(&conda, &variables), None);
        assert_eq!(told(&venv, &variables).as_deref(), Some("9.0.1"));
        let without = [variables[0], ("PYTHONNOUSERSITE", "1")];
        assert_eq!(told(&conda, &without).as_deref(), Some("9.0.1"));
    }

    #[test]
    fn a_package_is_found_where_python_finds_it() {
        let (_conda, conda) = prefix(&[("python3.12", "9.0.1")], None);
        let (_venv, venv) = prefix(&[("python3.12", "9.0.1")], Some(VENV));
        let (modules, _) = prefix(&[("python3.12", "8.8.0")], None);
        let in_path = modules.path().join("lib/python3.12/site-packages");
        let told = |program: &Path, variables: &[(&str, &Path)]| {
            let variable = |wanted: &str| {
                let mut all = variables.iter();
                all.find(|(name, _)| *name == wanted)
                    .map(|(_, value)| value.as_os_str().to_owned())
            };
            found(program, "ipyparallel", variable).map(|version| version.to_string())
        };
        assert_eq!(told(&venv, &[]).as_deref(), Some("9.0.1"));
        let path = [("PYTHONPATH", in_path.as_path())];
        assert_eq!(told(&venv, &path).as_deref(), Some("8.8.0"));
        assert_eq!(
            told(Path::new("/no/script"), &path).as_deref(),
            Some("8.8.0")
        );
        assert_eq!(told(Path::new("/no/script"), &[]), None);
        let users = [("PYTHONUSERBASE", modules.path())];
        assert_eq!(told(&conda, &users).as_deref(), Some("8.8.0"));
        assert_eq!(told(&venv, &users).as_deref(), Some("9.0.1"));
        let without = [users[0], ("PYTHONNOUSERSITE", Path::new("1"))];
        assert_eq!(told(&conda, &without).as_deref(), Some("9.0.1"));
    }

    #[test]
    fn only_the_head_of_a_program_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("large");
        let file = File::create(&program).expect("a file");
        // It takes no space, but as much memory as it is long if it is read.
        file.set_len(1 << 40).expect("a sparse file");
        assert_eq!(python_of(&program), None);
    }

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
