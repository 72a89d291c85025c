//! Python environments that do not fit together: the traceback's last line is what says so.

use crate::support::{Job, Place, venv};
use std::fs;

/// `ipengine` and `ipcontroller` as pip writes them, for a Python that lacks ipyparallel: a module was loaded after the
/// environment was activated.
fn script_of_another_python(place: &Place, name: &str, module: &str) {
    let path = place.script(name, "");
    let text = format!(
        "#!/usr/bin/python3 -E\nimport sys\nfrom ipyparallel.{module}.app import main\nsys.exit(main())\n"
    );
    fs::write(path, text).expect("a script");
}

#[test]
fn an_ipcontroller_without_ipyparallel_is_told_by_its_tracebacks_last_line() {
    let place = Place::empty();
    script_of_another_python(&place, "ipcontroller", "controller");
    script_of_another_python(&place, "ipengine", "engine");
    let output = place
        .ipjob(["--mode", "cluster-only", "-n", "1"])
        .output()
        .expect("ipjob starts");
    let transcript = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{transcript}");
    assert!(
        transcript.contains("cause: ModuleNotFoundError: No module named 'ipyparallel'"),
        "{transcript}"
    );
    assert!(!place.ipython_dir().exists(), "nothing was made");
}

#[test]
fn a_package_that_hides_ipyparallel_is_told_by_its_tracebacks_last_line() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    fs::create_dir_all(place.dir().join("mine/ipyparallel")).expect("a directory");
    fs::write(place.dir().join("mine/ipyparallel/__init__.py"), "").expect("a file");
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "1"]);
    command.env("PYTHONPATH", place.dir().join("mine"));
    let mut job = Job::spawn(&place, "job_local", command);
    let (code, transcript) = job.finish();
    assert_eq!(code, 4, "{transcript}");
    assert!(
        transcript.contains("cause: ModuleNotFoundError: No module named 'ipyparallel.controller'"),
        "{transcript}"
    );
    assert!(!place.ipython_dir().exists(), "nothing was made");
}

#[test]
fn an_engine_that_cannot_import_is_told_by_its_tracebacks_last_line() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    script_of_another_python(&place, "ipengine", "engine");
    lacks_ipyparallel(Job::start(&place, &["--mode", "cluster-only", "-n", "2"]));
}

/// That the job ends for want of ipyparallel, told by the traceback's last line, and leaves nothing.
pub fn lacks_ipyparallel(mut job: Job) {
    let (code, transcript) = job.finish();
    assert_eq!(code, 4, "{transcript}");
    let cause = transcript.lines().find(|line| line.starts_with("cause: "));
    let last_line = "ModuleNotFoundError: No module named 'ipyparallel'";
    assert!(
        cause.is_some_and(|cause| cause.ends_with(last_line)),
        "{transcript}"
    );
    job.assert_nothing_left();
}
