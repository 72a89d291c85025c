//! Where the token and the key are not: in no argv, in no log, in nothing that others can read.

use super::python;
use crate::support::{Job, Place, carriers, command_line, root, venv};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Another user of this machine.
const BOB: &str = "65534";

#[test]
fn token_and_key_are_nowhere_that_others_can_read() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    // A home as open as a home can be, and no umask: what keeps bob out is ipjob's own doing.
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o755)).expect("mode");
    let copy = place.dir().join("copy.json");
    let mut command = place.command("sh");
    command
        .args(["-c", "umask 000; exec \"$@\"", "sh"])
        .arg(crate::support::binary())
        .args(["--mode", "notebook", "-n", "1", "--record"])
        .arg(&copy)
        .env("TMPDIR", place.dir());
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();
    // A kernel runs as well: it has a connection file with a key, and a process with an environment.
    let path = job.profile().join("ipjob.json");
    python::run(
        &place,
        &venv,
        "jupyter.py",
        &[
            path.to_str().expect("text"),
            "open('shared.txt', 'w').close()",
        ],
    );
    // The user's own umask is the kernel's: a group's notebooks are shared.
    assert_eq!(mode(&place.dir().join("shared.txt")), 0o666);

    let token = record["token"].as_str().expect("a token").to_owned();
    assert_eq!(token.len(), 64, "256 bits in hexadecimal");
    let client = job.profile().join("security/ipcontroller-client.json");
    let client: Value = serde_json::from_slice(&fs::read(client).expect("readable")).expect("JSON");
    let key = client["key"].as_str().expect("a key").to_owned();
    let secrets = [token.as_str(), key.as_str()];

    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    let mut tree = carriers(incarnation);
    tree.push((job.pid(), command_line(job.pid())));
    // ipjob, nine of the controller, engine and nanny, Jupyter, kernel.
    assert!(tree.len() >= 14, "{tree:?}");
    for (pid, line) in &tree {
        assert!(!holds_any(line.as_bytes(), &secrets), "pid {pid}: {line}");
    }
    assert!(!holds_any(job.transcript().as_bytes(), &secrets));

    let holders = holders_below(place.dir(), &secrets);
    assert!(
        holders.contains(&path) && holders.contains(&copy),
        "the search finds nothing: {holders:?}"
    );
    for file in &holders {
        assert!(
            !file.starts_with(job.profile().join("log")),
            "{file:?} is a log"
        );
        assert!(
            !open_to_others(file, place.dir()),
            "{file:?} is open to others"
        );
    }
    assert_eq!(mode(&place.ipython_dir()), 0o700);
    // Each by itself: in `--profile default` the directory around them may be open.
    for dir in [
        "",
        "security",
        "log",
        "ipjob-runtime",
        "ipjob-runtime/jupyter",
    ] {
        assert_eq!(mode(&job.profile().join(dir)), 0o700, "{dir}");
    }
    let pids = tree.iter().map(|(pid, _)| *pid);
    let files = holders.iter().cloned();
    assert_bob_reads_none(
        files.chain(pids.map(|pid| PathBuf::from(format!("/proc/{pid}/environ")))),
        place.dir(),
    );

    for wrong in [None, Some("wrong"), Some("")] {
        let (status, answer) = super::http::ask("GET", &record, "/api/status", wrong);
        assert_eq!(status, 403, "{wrong:?}: {answer}");
    }
    assert_eq!(super::http::get(&record, "/api/status").0, 200);
    job.stop();
    let left = holders_below(place.dir(), &secrets);
    assert!(left.is_empty(), "secrets outlive the job: {left:?}");
}

fn holds_any(text: &[u8], secrets: &[&str]) -> bool {
    secrets.iter().any(|secret| {
        text.windows(secret.len())
            .any(|window| window == secret.as_bytes())
    })
}

/// The files below a directory that hold one of the secrets.
fn holders_below(dir: &Path, secrets: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found.retain(|file| holds_any(&fs::read(file).unwrap_or_default(), secrets));
    found
}

/// Whether permissions alone let others at a path: it is open, and so is every directory on the way from `top`.
fn open_to_others(path: &Path, top: &Path) -> bool {
    path.ancestors()
        .take_while(|step| *step != top)
        .all(|step| mode(step) & 0o077 != 0)
}

fn mode(path: &Path) -> u32 {
    let data = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    data.permissions().mode() & 0o777
}

/// Lets another user try to read each of the files; only root can become one.
fn assert_bob_reads_none(files: impl Iterator<Item = PathBuf>, home: &Path) {
    needed!(root());
    let reads = |file: &Path| {
        Command::new("setpriv")
            .args(["--reuid", BOB, "--regid", BOB, "--clear-groups", "cat"])
            .arg(file)
            .output()
            .expect("setpriv")
            .status
            .success()
    };
    let open = home.join("open.txt");
    fs::write(&open, "x").expect("a file");
    assert!(reads(&open), "bob can read what is open");
    for file in files {
        assert!(!reads(&file), "bob reads {}", file.display());
    }
}
