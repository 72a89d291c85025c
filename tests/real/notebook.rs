//! A notebook with `%%px` cells, saved and run through the Jupyter server that the record names.

use super::{http, python};
use crate::support::{Job, Place, venv};

/// A client's subscription to the engines' output takes a moment, and what they print before is lost to it: so it is waited
/// for, as a person's hand would between two cells.
const CONNECT: &str = "import os
import ipyparallel as ipp
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])
heard = []
while not (heard and all(heard)):
    result = rc[:].execute('print(0)', silent=False, block=False)
    result.get(60)
    result.wait_for_output(1)
    heard = result.stdout
print(len(rc), 'engines')";
const PX: &str = "%%px\nimport os\nprint('engine process', os.getpid())";

#[test]
fn px_cells_run_on_four_engines_through_jupyterlab_and_its_shut_down_ends_the_job() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "4"]);
    let record = job.wait_ready();

    let path = job.profile().join("ipjob.json");
    let path = path.to_str().expect("text");
    let printed = python::run(&place, &venv, "jupyter.py", &[path, CONNECT, PX]);
    assert!(printed.contains("4 engines"), "{printed}");
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
