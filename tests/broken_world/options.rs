//! Options and variables that cannot be used: refused before anything is looked for, started or written.

use super::start;
use crate::support::{Job, Place};
use std::fs;

/// A command line that cannot be, and what its one error tells: the words that are wrong, the option, the way out.
const WRONG: &[(&str, &[&str])] = &[
    ("-n 2", &["--mode is missing", "notebook", "cluster-only"]),
    (
        "--mode lab",
        &["'lab'", "--mode", "notebook", "cluster-only"],
    ),
    ("no-such-command", &["no-such-command"]),
    ("completions tcl", &["'tcl'"]),
    ("--mode notebook stray", &["'stray'"]),
    ("--mode notebook --no-such-option", &["--no-such-option"]),
    ("--mode notebook -q -v", &["cannot be used with"]),
    ("NOTEBOOK -n 0", &["0", "--engines", "1..=10000"]),
    ("NOTEBOOK -n -1", &["-1", "--engines", "1..=10000"]),
    (
        "NOTEBOOK -n 1000000",
        &["1000000", "--engines", "1..=10000"],
    ),
    ("NOTEBOOK -n many", &["'many'", "--engines"]),
    ("NOTEBOOK -n 2.5", &["2.5", "--engines"]),
    (
        "NOTEBOOK --preload numpy,my-module",
        &[
            "\"my-module\" is not the name of a module",
            "--preload",
            "scipy.linalg",
        ],
    ),
    ("NOTEBOOK --jobid 7.0", &["7.0", "--jobid", "6_2"]),
    (
        "NOTEBOOK -n 99999999999999999999",
        &["99999999999999999999", "--engines"],
    ),
    ("NOTEBOOK --threads 0", &["'0'", "--threads", "auto, off"]),
    ("NOTEBOOK --threads many", &["'many'", "--threads", "65536"]),
    ("NOTEBOOK --bind core", &["'core'", "--bind", "gpu", "none"]),
    (
        "NOTEBOOK -n 2 --min-engines 3",
        &["--min-engines 3", "the 2 engines"],
    ),
    (
        "NOTEBOOK --port-range 9000-8000",
        &["9000-8000", "--port-range", "did you mean 8000-9000?"],
    ),
    (
        "NOTEBOOK --port-range 9000-x",
        &["9000-x", "--port-range", "1-65535"],
    ),
    (
        "NOTEBOOK --port-range 0-10",
        &["0-10", "--port-range", "1-65535"],
    ),
    (
        "NOTEBOOK --port-range 65536",
        &["65536", "--port-range", "1-65535"],
    ),
    (
        "NOTEBOOK --port-range 8000-70000",
        &["8000-70000", "--port-range", "1-65535"],
    ),
    ("NOTEBOOK --jupyter-port 0", &["0", "--jupyter-port"]),
    (
        "NOTEBOOK --jupyter-port 65536",
        &["65536", "--jupyter-port"],
    ),
    ("NOTEBOOK --jupyter-port lab", &["'lab'", "--jupyter-port"]),
    (
        "NOTEBOOK --jupyter-token-file /no/such/file",
        &[
            "--jupyter-token-file /no/such/file cannot be read",
            "name a file",
        ],
    ),
    (
        "NOTEBOOK --jupyter-token-file /dev/null",
        &["--jupyter-token-file /dev/null", "not private"],
    ),
    (
        "NOTEBOOK -- --IdentityProvider.token=x",
        &["--IdentityProvider.token", "--jupyter-token-file"],
    ),
    (
        "NOTEBOOK -- --PasswordIdentityProvider.hashed_password=argon2:x",
        &["hashed_password", "--jupyter-token-file"],
    ),
    (
        "NOTEBOOK --controller-ports 5000-5003",
        &["--controller-ports", "needs 18 ports", "this range has 4"],
    ),
    ("NOTEBOOK --stop-timeout soon", &["soon", "--stop-timeout"]),
    (
        "NOTEBOOK --start-timeout kernel=3s",
        &["kernel", "--start-timeout"],
    ),
    (
        "NOTEBOOK --profile ../other",
        &[
            "--profile \"../other\" has characters other than",
            "--ipython-dir",
        ],
    ),
    (
        "NOTEBOOK --root-dir /no/such/directory",
        &["--root-dir /no/such/directory is not a directory"],
    ),
    ("NOTEBOOK -- --ServerApp.port=1", &["--ServerApp.port"]),
    ("NOTEBOOK -- --port=1", &["--port"]),
    (
        "NOTEBOOK --controller-arg=--ip=0.0.0.0",
        &["--controller-arg --ip is set by ipjob", "--address"],
    ),
    (
        "NOTEBOOK --engine-arg=--profile-dir=/x",
        &[
            "--engine-arg --profile-dir is set by ipjob",
            "--ipython-dir",
        ],
    ),
];

/// Values of variables that cannot be, and the option that each stands for.
const WRONG_VARIABLES: &[(&str, &str, &str)] = &[
    ("IPJOB_MODE", "lab", "--mode"),
    ("IPJOB_ENGINES", "many", "--engines"),
    ("IPJOB_ENGINES", "", "--engines"),
    ("IPJOB_MIN_ENGINES", "0", "--min-engines"),
    ("IPJOB_LAUNCHER", "rsh", "--launcher"),
    ("IPJOB_PORT_RANGE", "9-8", "--port-range"),
    ("IPJOB_JUPYTER_PORT", "0", "--jupyter-port"),
    ("IPJOB_CONTROLLER_PORTS", "x", "--controller-ports"),
    ("IPJOB_FRONTEND", "emacs", "--frontend"),
    ("IPJOB_START_TIMEOUT", "3m,soon", "--start-timeout"),
    ("IPJOB_STOP_TIMEOUT", "0", "--stop-timeout"),
    ("IPJOB_IDLE_TIMEOUT", "1s", "--idle-timeout"),
    ("IPJOB_QUIET", "perhaps", "--quiet"),
    ("IPJOB_DRY_RUN", "perhaps", "--dry-run"),
];

/// Runs ipjob where no program can be found, so that whatever is looked for before the words are judged is an error of its own; it
/// must refuse with exit code 2 and these parts, and with nothing on stdout.
fn refuses(variable: Option<(&str, &str)>, line: &str, parts: &[&str]) {
    let place = Place::empty();
    let line = line.replace("NOTEBOOK", "--mode notebook");
    println!("{variable:?} {line}");
    let stdout = place.dir().join("stdout");
    let mut command = place.ipjob(line.split_ascii_whitespace());
    command.envs(variable);
    command.stdout(fs::File::create(&stdout).expect("a file"));
    Job::spawn(&place, "job_local", command).fails(2, parts);
    assert_eq!(fs::read_to_string(&stdout).expect("text"), "");
    place.assert_untouched();
}

#[test]
fn wrong_words_are_refused_by_name_before_anything_is_looked_for() {
    for (line, parts) in WRONG {
        refuses(None, line, parts);
    }
}

#[test]
fn a_wrong_variable_is_named_like_the_option_it_stands_for() {
    for (variable, value, option) in WRONG_VARIABLES {
        let line = if *option == "--mode" { "" } else { "NOTEBOOK" };
        refuses(Some((variable, value)), line, &[option, variable]);
    }
}

#[test]
fn a_second_record_that_is_no_file_is_refused_and_stays() {
    let place = Place::with_fakes();
    let pipe = place.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
    let link = place.dir().join("link");
    std::os::unix::fs::symlink("/dev/null", &link).expect("a link");
    for (path, kind) in [
        (pipe.to_str().expect("text"), "a pipe"),
        ("/dev/null", "a device"),
        (link.to_str().expect("text"), "a device"),
        ("/tmp", "a directory"),
    ] {
        let args = ["--mode", "cluster-only", "-n", "2", "--record", path];
        let told = format!("--record {path} is {kind}");
        start(&place, &[], &[&args]).fails(2, &[&told, "file"]);
        place.assert_untouched();
    }
    assert!(!std::fs::metadata(&pipe).expect("it stays").is_file());
}

#[test]
fn a_wrong_flag_does_not_blame_the_variable_that_is_right() {
    let place = Place::with_fakes();
    let lines = start(
        &place,
        &[("IPJOB_ENGINES", "2")],
        &[&["--mode", "notebook", "-n", "many"]],
    )
    .fails(2, &["'many'", "--engines"]);
    assert!(!lines.contains("IPJOB_ENGINES"), "{lines}");
}

#[test]
fn a_flag_overrules_a_wrong_variable() {
    let place = Place::with_fakes();
    let args = ["--mode", "cluster-only", "-n", "2", "--dry-run"];
    let output = place
        .ipjob(args)
        .env("IPJOB_ENGINES", "many")
        .output()
        .expect("ipjob starts");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn without_home_ipjob_asks_for_the_directory_and_takes_it() {
    let place = Place::with_fakes();
    let run = |args: &[&str]| {
        let mut command = place.ipjob([&["--mode", "cluster-only", "-n", "2"], args].concat());
        command.env_remove("HOME");
        command
    };
    Job::spawn(&place, "job_local", run(&[])).fails(4, &["HOME is not set", "--ipython-dir"]);
    place.assert_untouched();
    let dir = place.ipython_dir();
    let mut job = Job::spawn(
        &place,
        "job_local",
        run(&["--ipython-dir", dir.to_str().expect("text")]),
    );
    job.wait_ready();
    job.stop();
}
