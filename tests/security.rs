//! What somebody else who has an account on the same machine can do to a job: docs/security.md lists what is tried here, what holds and what
//! does not. He is nobody on this machine, and bob on the lab's.

mod bob;
mod cookies;
mod encryption;
mod kernels;
mod laptop;
mod listeners;
mod messages;
mod places;
mod ports;
mod records;
mod shared;
mod slurm;
mod strangers;
mod worn;

use crate::docs::sources;
use crate::support::{Job, Needed, Place, carriers, program, root, venv};
use bob::Bob;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Jupyter as it is today and as it was: virtual environment and front end.
const JUPYTERS: [(&str, &str); 2] = [("main", "lab"), ("nb6", "notebook")];

/// The user id of the attacker on this machine.
const BOB: &str = "65534";

/// Code in Python, to be run as another user.
fn as_bob(code: &str) -> Needed<Command> {
    root()?;
    let python = program(&["/usr/bin"], &["python3"])?;
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", BOB, "--regid", BOB, "--clear-groups"])
        .arg(python)
        .args(["-c", code])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(command)
}

/// A notebook with one engine that is ready.
struct Notebook {
    place: Place,
    venv: PathBuf,
    job: Job,
    record: Value,
}

impl Notebook {
    /// Starts it with the programs of this virtual environment and with these arguments besides.
    fn start(environment: &str, arguments: &[&str]) -> Needed<Self> {
        let venv = venv(environment)?;
        let place = Place::with_venv(&venv);
        let mode = ["--mode", "notebook", "-n", "1"];
        let mut job = Job::start(&place, &[&mode, arguments].concat());
        let record = job.wait_ready();
        Ok(Self {
            place,
            venv,
            job,
            record,
        })
    }
}

/// All that runs for a job: its process ids.
fn processes(record: &Value) -> BTreeSet<u32> {
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    carriers(incarnation)
        .into_iter()
        .map(|(pid, _)| pid)
        .collect()
}

/// The TCP ports that these processes listen on.
fn listening(pids: &BTreeSet<u32>) -> BTreeSet<u16> {
    let held: HashSet<String> = pids
        .iter()
        .flat_map(|pid| {
            fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
        })
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            Some(inode.trim_end_matches(']').to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").expect("/proc");
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (_, port) = fields.get(1)?.split_once(':')?;
            let ours = *fields.get(3)? == "0A" && held.contains(*fields.get(9)?);
            ours.then(|| u16::from_str_radix(port, 16).ok())?
        })
        .collect()
}

/// The names of tests in a part of the document.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`')
        .filter(|word| word.matches('_').count() > 2 && !word.contains([' ', '\n', '=']))
}

#[test]
fn the_document_names_a_test_for_all_that_holds_and_no_test_that_is_not_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/security.md")).expect("the document");
    let sources = sources(&root.join("tests")) + &sources(&root.join("launcher"));
    for name in named(&text) {
        assert!(sources.contains(&format!("fn {name}(")), "{name}");
    }
    let (_, holds) = text.split_once("\n## What holds\n").expect("the part");
    let (holds, _) = holds.split_once("\n## What does not").expect("the next");
    let rows: Vec<&str> = holds
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| who |"))
        .filter(|line| !line.starts_with("| --- |"))
        .collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        assert!(named(row).next().is_some(), "no test: {row}");
    }
}
