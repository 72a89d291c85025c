//! Programs that are missing, old or broken: told before anything is written.

use super::{CLUSTER, NOTEBOOK, start};
use crate::support::{Job, Place, chmod};

/// Runs ipjob, which must miss something and tell these parts, before anything was started or written.
fn fails(place: &Place, variables: &[(&str, &str)], args: &[&[&str]], parts: &[&str]) {
    start(place, variables, args).fails(4, parts);
    place.assert_untouched();
}

#[test]
fn a_program_that_is_not_on_path_is_named_with_the_entries_tried() {
    let place = Place::empty();
    let bin = place.dir().join("bin");
    let tried = format!("tried {}, /usr/bin, /bin", bin.display());
    let parts = [
        "ipcontroller is not on PATH",
        &tried,
        "pip install ipyparallel",
    ];
    fails(&place, &[], &[CLUSTER], &parts);
    place.link_fake("ipcontroller", "ipcontroller");
    fails(
        &place,
        &[],
        &[CLUSTER],
        &["ipengine is not on PATH", &tried],
    );
    place.link_fake("ipengine", "ipengine");
    let parts = [
        "jupyter-lab is not on PATH",
        &tried,
        "pip install jupyterlab",
    ];
    fails(&place, &[], &[NOTEBOOK], &parts);
    fails(
        &place,
        &[],
        &[CLUSTER, &["--", "no-such-driver"]],
        &["no-such-driver is not on PATH", &tried],
    );
}

#[test]
fn without_path_that_is_what_is_told() {
    let place = Place::with_fakes();
    let mut command = place.ipjob(CLUSTER);
    command.env_remove("PATH");
    Job::spawn(&place, "job_local", command)
        .fails(4, &["ipcontroller cannot be found: PATH is not set"]);
    place.assert_untouched();
}

#[test]
fn a_program_that_may_not_be_run_is_told_as_such() {
    let place = Place::empty();
    let program = place.script("ipcontroller", "exit 0");
    chmod(&program, 0o644);
    let told = format!("{} is not executable", program.display());
    fails(&place, &[], &[CLUSTER], &[&told, "chmod +x"]);
}

#[test]
fn a_frontend_that_is_not_there_is_named() {
    let place = Place::with_fakes();
    let args = ["--frontend", "/no/such/jupyter"];
    let parts = ["/no/such/jupyter is not a program that can be run"];
    fails(&place, &[], &[NOTEBOOK, &args], &parts);
}

#[test]
fn an_ipyparallel_that_cannot_be_imported_is_told_in_its_own_words() {
    let place = Place::with_fakes();
    let script = "exec /usr/bin/python3 -c 'import ipyparallel_that_is_not_here'";
    place.script("ipcontroller", script);
    let parts = [
        "does not print the version of ipyparallel",
        "ModuleNotFoundError: No module named 'ipyparallel_that_is_not_here'",
        "install ipyparallel",
    ];
    fails(&place, &[], &[CLUSTER], &parts);
}

#[test]
fn what_a_program_says_of_its_version_cannot_play_with_the_terminal() {
    let place = Place::with_fakes();
    let script = r"printf '\033[2J\033]0;mine\007gone %0999d\n' 7 >&2; exit 1";
    place.script("ipcontroller", script);
    let lines = start(&place, &[], &[CLUSTER]).fails(4, &["cause: ]0;minegone 000"]);
    assert!(!lines.contains(['\u{1b}', '\u{7}']), "{lines:?}");
    assert!(lines.lines().all(|line| line.len() < 500), "{lines}");
    place.assert_untouched();
}

#[test]
fn a_controller_that_prints_no_version_is_refused() {
    let place = Place::with_fakes();
    place.script("ipcontroller", "echo hello");
    fails(&place, &[], &[CLUSTER], &["it printed no version"]);
}

#[test]
fn a_controller_that_never_tells_its_version_is_given_up_with_all_that_it_started() {
    let place = Place::with_fakes();
    place.script("ipcontroller", "tail -f /dev/null; echo 9.2.0");
    let args = ["--start-timeout", "300ms"];
    let parts = ["did not answer within 0.3 s", "--version"];
    fails(&place, &[], &[CLUSTER, &args], &parts);
}

#[test]
fn an_old_ipyparallel_is_refused_by_name() {
    let place = Place::with_fakes();
    let parts = ["ipyparallel 6.3.0 is too old", "pip install -U ipyparallel"];
    fails(&place, &[("FAKE_VERSION", "6.3.0")], &[CLUSTER], &parts);
}
