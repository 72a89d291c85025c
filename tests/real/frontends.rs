//! The other front ends: Notebook 7, classic Notebook 6, the bare server, a program of the user's.

use super::http;
use crate::support::{Job, Place, venv};
use serde_json::Value;
use std::path::Path;

#[test]
fn notebook_7_shows_its_tree() {
    let venv = needed!(venv("main"));
    assert_opens(
        &venv,
        &["--frontend", "notebook"],
        "tree",
        "Jupyter Notebook",
    );
}

#[test]
fn classic_notebook_6_shows_its_tree() {
    let venv = needed!(venv("nb6"));
    assert_opens(&venv, &["--frontend", "notebook"], "tree", "notebook_list");
}

#[test]
fn the_bare_server_answers_and_honours_a_base_url() {
    let venv = needed!(venv("main"));
    let (record, _) = assert_opens(
        &venv,
        &["--frontend", "server", "--", "--ServerApp.base_url=/x/"],
        "",
        "Jupyter Server",
    );
    let url = record["url"].as_str().expect("a url");
    assert!(url.contains("/x/?token="), "{url}");
}

#[test]
fn a_program_of_the_users_is_run_with_its_arguments_and_directory() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    std::fs::create_dir(place.dir().join("shown")).expect("a directory");
    // A container's wrapper does not exec: Jupyter is a grandchild.
    let wrapper = place.script(
        "my jupyter",
        "jupyter-lab --LabApp.custom_css=True \"$@\"\nexit $?",
    );
    let wrapper = wrapper.to_str().expect("text");
    let mut job = Job::start(
        &place,
        &[
            "--mode",
            "notebook",
            "-n",
            "1",
            "--frontend",
            wrapper,
            "--root-dir",
            "shown",
        ],
    );
    let record = job.wait_ready();
    let (status, answer) = http::open(&record);
    assert!(status == 200 || status == 302, "{answer}");
    std::fs::write(place.dir().join("shown/here.txt"), "x").expect("a file");
    let (status, answer) = http::get(&record, "/api/contents?content=1");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("here.txt"), "{answer}");
    job.stop();
}

#[test]
fn jupyterlab_builds_no_grammar_asks_no_node_and_finds_no_module_in_the_working_directory() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    std::fs::write(
        place.dir().join("random.py"),
        "raise SystemExit('not mine')",
    )
    .expect("a file");
    place.script("node", "echo \"$*\" >>\"$HOME/node.log\"; exit 1");
    // A nanny would find it there: ipyparallel starts it by `python -m`.
    let mut command = place.ipjob(["--mode", "notebook", "-n", "1", "--nanny", "off"]);
    // Every import is told in the log.
    command.env("PYTHONPROFILEIMPORTTIME", "1");
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();
    let (status, page) = http::open(&record);
    assert_eq!(status, 200, "{page}");
    let log = job.profile().join("log/ipjob-jupyter.log");
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("jsonschema._format"), "imports are told");
    // The parser's generator, which nothing else of Jupyter's imports.
    assert!(!log.contains("lark"), "the grammar is built");
    let asked = std::fs::read_to_string(place.dir().join("node.log")).unwrap_or_default();
    assert!(!asked.contains("yarn"), "{asked}");
    job.stop();
}

/// Starts a job with these further arguments, opens the record's url, and stops it.
fn assert_opens(venv: &Path, args: &[&str], page: &str, text: &str) -> (Value, String) {
    let place = Place::with_venv(venv);
    let args = [&["--mode", "notebook", "-n", "1"], args].concat();
    let mut job = Job::start(&place, &args);
    let record = job.wait_ready();
    let url = record["url"].as_str().expect("a url");
    let whole = format!(
        "http://127.0.0.1:{}{}{page}?token={}",
        record["port"],
        http::base(&record),
        record["token"].as_str().expect("a token")
    );
    assert_eq!(url, whole);
    let (status, page) = http::open(&record);
    assert_eq!(status, 200, "{page}");
    assert!(page.contains(text), "no {text:?} in:\n{page}");
    job.stop();
    (record, page)
}
