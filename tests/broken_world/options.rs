//! Options and variables that cannot be used: refused before anything is looked for, started or written.

use super::start;
use crate::support::{Job, Place};

/// Runs ipjob, which must refuse with exit code 2 and these parts.
fn refuses(variables: &[(&str, &str)], args: &[&str], parts: &[&str]) {
    let place = Place::with_fakes();
    start(&place, variables, &[args]).fails(2, parts);
    place.assert_untouched();
}

#[test]
fn an_unknown_mode_is_refused_with_those_that_there_are() {
    refuses(
        &[],
        &["--mode", "lab"],
        &["'lab'", "--mode", "notebook", "cluster-only"],
    );
}

#[test]
fn a_missing_mode_is_named_with_the_choice() {
    refuses(&[], &["-n", "2"], &["--mode", "notebook", "cluster-only"]);
}

#[test]
fn a_number_of_engines_that_cannot_be_is_refused_with_the_range() {
    for number in ["0", "-1", "1000000"] {
        let args = ["--mode", "cluster-only", "-n", number];
        refuses(&[], &args, &[number, "--engines", "1..=10000"]);
    }
    for number in ["many", "2.5", "99999999999999999999"] {
        let args = ["--mode", "cluster-only", "-n", number];
        refuses(&[], &args, &[number, "--engines"]);
    }
}

#[test]
fn more_engines_at_least_than_at_all_are_refused_with_both_numbers() {
    refuses(
        &[],
        &["--mode", "cluster-only", "-n", "2", "--min-engines", "3"],
        &["--min-engines 3", "the 2 engines"],
    );
}

#[test]
fn a_reversed_port_range_is_refused_with_the_right_one() {
    refuses(
        &[],
        &["--mode", "notebook", "--port-range", "9000-8000"],
        &["9000-8000", "--port-range", "did you mean 8000-9000?"],
    );
}

#[test]
fn too_few_ports_for_the_controller_are_refused_with_both_numbers() {
    refuses(
        &[],
        &["--mode", "notebook", "--controller-ports", "5000-5003"],
        &["--controller-ports", "takes 18 ports", "these are 4"],
    );
}

#[test]
fn a_port_that_there_is_not_is_refused() {
    for range in ["0-10", "65536", "8000-70000", "a-b"] {
        refuses(
            &[],
            &["--mode", "notebook", "--port-range", range],
            &[range, "--port-range", "1-65535"],
        );
    }
}

#[test]
fn a_profile_name_that_is_a_path_is_refused() {
    refuses(
        &[],
        &["--mode", "notebook", "--profile", "../other"],
        &[
            "--profile \"../other\" has other characters than",
            "--ipython-dir",
        ],
    );
}

#[test]
fn an_argument_of_a_service_that_ipjob_owns_is_refused_by_name() {
    for (arg, told, way_out) in [
        (
            "--controller-arg=--ip=0.0.0.0",
            "--controller-arg --ip belongs to ipjob",
            "--address",
        ),
        (
            "--engine-arg=--profile-dir=/x",
            "--engine-arg --profile-dir belongs to ipjob",
            "--ipython-dir",
        ),
    ] {
        let args = ["--mode", "cluster-only", "-n", "2", arg];
        refuses(&[], &args, &[told, way_out]);
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
fn a_root_directory_that_is_not_there_is_refused() {
    refuses(
        &[],
        &["--mode", "notebook", "--root-dir", "/no/such/directory"],
        &["--root-dir /no/such/directory is not a directory"],
    );
}

#[test]
fn a_wrong_variable_is_named_like_the_option_it_stands_for() {
    for (variable, value, option) in [
        ("IPJOB_MODE", "lab", "--mode"),
        ("IPJOB_ENGINES", "many", "--engines"),
        ("IPJOB_ENGINES", "", "--engines"),
        ("IPJOB_MIN_ENGINES", "0", "--min-engines"),
        ("IPJOB_LAUNCHER", "rsh", "--launcher"),
        ("IPJOB_PORT_RANGE", "9-8", "--port-range"),
        ("IPJOB_CONTROLLER_PORTS", "x", "--controller-ports"),
        ("IPJOB_FRONTEND", "emacs", "--frontend"),
        ("IPJOB_START_TIMEOUT", "3m,soon", "--start-timeout"),
        ("IPJOB_STOP_TIMEOUT", "0", "--stop-timeout"),
        ("IPJOB_IDLE_TIMEOUT", "1s", "--idle-timeout"),
        ("IPJOB_QUIET", "perhaps", "--quiet"),
        ("IPJOB_DRY_RUN", "perhaps", "--dry-run"),
    ] {
        let args: &[&str] = if option == "--mode" {
            &[]
        } else {
            &["--mode", "notebook"]
        };
        refuses(&[(variable, value)], args, &[option, variable]);
    }
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
