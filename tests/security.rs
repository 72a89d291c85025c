//! What somebody else who has an account on the same machine can do to a job: docs/security.md lists what is tried here and what
//! holds. He is nobody on this machine, and bob on the lab's.

mod cookies;
mod encryption;
mod kernels;
mod laptop;
mod messages;
mod places;
mod ports;
mod records;
mod slurm;
mod strangers;

use crate::support::{Needed, carriers, program, root};
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

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

#[test]
fn every_test_that_the_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/security.md")).expect("the document");
    let named: Vec<&str> = text
        .split('`')
        .filter(|word| word.matches('_').count() > 2 && !word.contains([' ', '\n', '=']))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    let sources: String = ["security", "slurm", "real", "healing"]
        .iter()
        .flat_map(|dir| fs::read_dir(root.join("tests").join(dir)).expect("tests"))
        .map(|entry| fs::read_to_string(entry.expect("a file").path()).unwrap_or_default())
        .collect();
    for name in named {
        assert!(sources.contains(&format!("fn {name}()")), "{name}");
    }
}
