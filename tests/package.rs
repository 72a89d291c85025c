//! The Python package `ipjob` in python/: it is thin, of the program's version, and says what it lacks.

use crate::support::{Place, binary, venv};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the package lies.
fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// A Python of that environment which finds the package and this program.
fn python(place: &Place, venv: &Path, code: &str) -> Command {
    let mut command = place.command(venv.join("bin/python"));
    command
        .args(["-c", code])
        .env("PYTHONPATH", package())
        .env("IPJOB", binary());
    command
}

fn shown(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What a call of the package raises.
fn failure(command: &mut Command) -> String {
    let output = command.output().expect("Python");
    let shown = shown(&output);
    assert!(!output.status.success(), "{shown}");
    shown
}

#[test]
fn it_is_of_the_programs_version_and_imports_nothing() {
    let init = fs::read_to_string(package().join("ipjob/__init__.py")).expect("the package");
    let version = format!("__version__ = \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(init.contains(&version), "no {version:?} in:\n{init}");
    let place = Place::empty();
    let venv = needed!(venv("main"));
    let code = "import sys; before = set(sys.modules); import ipjob; print(sorted(set(sys.modules) - before))";
    let output = python(&place, &venv, code).output().expect("Python");
    assert_eq!(shown(&output).trim(), "['ipjob']");
}

#[test]
fn it_says_which_program_it_lacks() {
    let venv = needed!(venv("main"));
    let place = Place::empty();
    let code = "from ipjob import program; print(program.find())";
    let found = python(&place, &venv, code).output().expect("Python");
    assert_eq!(shown(&found).trim(), binary().display().to_string());

    let none = failure(python(&place, &venv, code).env_remove("IPJOB"));
    assert!(none.contains("no program ipjob: neither in "), "{none}");
    let elsewhere = failure(python(&place, &venv, code).env("IPJOB", "/nowhere"));
    assert!(
        elsewhere.contains("the variable IPJOB names none"),
        "{elsewhere}"
    );
    for (script, words) in [
        (
            "echo ipjob 0.0.1",
            "is ipjob 0.0.1, and the Python package in ",
        ),
        (
            "echo something",
            "is not ipjob: `--version` ended with code 0",
        ),
    ] {
        let other = place.script("another", script);
        let shown = failure(python(&place, &venv, code).env("IPJOB", other));
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn what_the_program_refuses_is_an_exception_with_its_words() {
    let place = Place::empty();
    let venv = needed!(venv("main"));
    let code = "from ipjob import program; program.call(['stop', 'nothing'])";
    let shown = failure(&mut python(&place, &venv, code));
    assert!(
        shown.contains("ipjob has ended with exit code 5"),
        "{shown}"
    );
    assert!(shown.contains("nothing"), "{shown}");
}
