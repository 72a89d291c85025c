//! A notebook with `%%px` cells, saved and run through the Jupyter server that the record names.

use super::{http, python};
use crate::support::{Job, Place, venv};
use std::fs;

/// A client's subscription to the engines' output takes a moment, and what they print before is lost to it: so it is waited
/// for, as a person's hand would between two cells.
const CONNECT: &str = "import os
import ipyparallel as ipp
rc = ipp.Client()
heard = []
while not (heard and all(heard)):
    result = rc[:].execute('print(0)', silent=False, block=False)
    result.get(60)
    result.wait_for_output(1)
    heard = result.stdout
print(len(rc), 'engines')";
const OWN: &str = "print('started by', by_ipython, 'and', by_python, 'in', os.path.basename(get_ipython().profile_dir.location))";
const PX: &str = "%%px\nimport os\nprint('engine process', os.getpid())";

#[test]
fn px_cells_run_on_four_engines_through_jupyterlab_and_its_shut_down_ends_the_job() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    // The user's own profile is in force.
    let own = place.ipython_dir().join("profile_default/startup");
    fs::create_dir_all(&own).expect("a directory");
    fs::write(own.join("own.py"), "by_ipython = 'IPython'\n").expect("written");
    let startup = place.dir().join("startup.py");
    fs::write(&startup, "by_python = 'Python'\n").expect("written");
    let mut command = place.ipjob(["--mode", "notebook", "-n", "4"]);
    command.env("PYTHONSTARTUP", &startup);
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();

    let path = job.profile().join("ipjob.json");
    let path = path.to_str().expect("text");
    let cells = [path, CONNECT, PX, OWN];
    let printed = python::run(&place, &venv, "jupyter.py", &cells);
    assert!(printed.contains("4 engines"), "{printed}");
    assert!(
        printed.contains("started by IPython and Python in profile_default"),
        "{printed}"
    );
    for engine in record["engines"]["list"].as_array().expect("a list") {
        let line = format!("[stdout:{}] engine process {}", engine["id"], engine["pid"]);
        assert!(printed.contains(&line), "no {line:?} in:\n{printed}");
    }

    let (status, page) = http::open(&record);
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("JupyterLab"), "{page}");
    let token = record["token"].as_str();
    let (status, answer) = http::ask("POST", &record, "/api/shutdown", token);
    assert_eq!(status, 200, "{answer}");
    let (code, transcript) = job.finish();
    assert_eq!(code, 0, "{transcript}");
    assert!(
        transcript.contains("stopping: jupyter was shut down by its user"),
        "{transcript}"
    );
    job.assert_nothing_left();
}
